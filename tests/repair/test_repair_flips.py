"""A bit flipped anywhere: seen by verify-targets, mended by a repair, or, in the attributes, by the prepare command."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from repair_cases import layout_of, root_of
from spmdata.errors import StoreError
from spmdata.prepare.plan import plan_store
from spmdata.prepare.repair import repair_store
from spmdata.prepare.run import prepare_store
from spmdata.sources.registry import open_source
from spmdata.store.form import form_of
from spmdata.verify.run import verify_store
from store.cases import flip_bit, tree


@pytest.mark.parametrize("flips", [4, pytest.param(100, marks=pytest.mark.slow)])
def test_any_flip_is_mended(flips: int, path: Path) -> None:
    """Wherever a bit is flipped: by a repair, or, in the attributes, by the prepare command."""
    before, rng = tree(path.parent), random.Random(5)
    files = sorted(name for name, data in before.items() if data)
    source = open_source("coco", root=root_of(path))
    layout = layout_of(path)
    for _ in range(flips):
        name = rng.choice(files)
        flip_bit(path.parent / name, rng.randrange(8 * len(before[name] or b"")))
        try:
            assert verify_store(path, threads=1).damage
            repair_store(path, root=root_of(path))
        except StoreError as error:
            assert name == form_of(path).file(form_of(path).root).relative_to(path.parent).as_posix()
            with pytest.raises(
                StoreError, match="run the spm prepare command that made it again, which keeps what is as it was"
            ):
                repair_store(path, root=root_of(path))
            assert str(path) in str(error)  # noqa: PT017
            prepare_store(plan_store(source, layout.spec, path, shard_rows=4))
        assert tree(path.parent) == before, name
