"""Files written whole, however the system takes their pieces."""

import os
from pathlib import Path

import pytest

from spmdata.store import durable

PIECES = [b"", b"abc", b"", b"defghijkl", b"m" * 20, b"", b"n"]


@pytest.mark.parametrize("most", [1, 7, 1000])
@pytest.mark.parametrize("at_once", [1, 2, 1024])
def test_the_system_may_take_a_part_at_a_time(
    most: int, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "PIECES", at_once)
    monkeypatch.setattr(os, "writev", lambda handle, pieces: os.write(handle, b"".join(pieces)[:most]))
    durable.write_file(tmp_path / "file", PIECES)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"".join(PIECES)


def test_more_pieces_than_the_system_takes_at_once(tmp_path: Path) -> None:
    pieces = [b"%d," % number for number in range(3000)]
    durable.write_file(tmp_path / "file", iter(pieces))
    assert (tmp_path / "file").read_bytes() == b"".join(pieces)
