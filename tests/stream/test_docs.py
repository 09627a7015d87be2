"""The examples of docs/streaming.md, run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from spmdata.store.reader import Store

PAGE = (Path(__file__).resolve().parents[2] / "docs/streaming.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("block", BLOCKS, ids=["numpy", "torch", "loader"])
def test_example_runs(block: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.zarr").symlink_to(store.path)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/streaming.md", "exec"), names)
    assert names["checkpoint"] == 72  # the first batch that ends beyond three times 23 rows
    assert len(names["images"]) == 4
    assert len(block.splitlines()) <= 12
