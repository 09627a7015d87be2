"""codec/tiers.py and codec/plain.py: a few pictures in plain Python, to the bit as compiled; many are compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_cases import CAMERA, assert_same, crowds, maps, specs
from spmdata.codec import Codec
from spmdata.codec.tiers import CACHED_PATIENCE_S, COLLIDE, DECODE, ENCODE, PATIENCE_S, Tier
from spmdata.kernels import batch
from spmdata.people import People
from spmdata.spec import TargetSpec

pytestmark = pytest.mark.skipif(not hasattr(batch.encode_rows, "py_func"), reason="numba is off: all of it is plain")
SOMEBODY = People.of(np.random.default_rng(0).uniform(0, 96, (1, 17, 2)), np.full((1, 17), 2))


@contextmanager
def plainly() -> Iterator[None]:
    """Do everything in plain Python."""
    with (
        mock.patch.multiple(ENCODE, settled=False, _left_s=np.inf),
        mock.patch.multiple(DECODE, settled=False, _left_s=np.inf),
        mock.patch.multiple(COLLIDE, settled=False, _left_s=np.inf),
    ):
        yield


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(["float32", "float16"]))
def test_plain_python_equals_compiled(data: st.DataObject, dtype: str) -> None:
    codec = Codec(data.draw(specs(dtype=dtype)))
    images = [data.draw(crowds(codec.spec)) for _ in range(2)]
    flat = [replace(people, has_depth=np.zeros(len(people), np.bool_)) for people in images]

    def everything() -> list[Any]:
        targets = codec.encode_batch(images, cameras=[CAMERA] * 2)
        found = codec.decode_tables(targets, [CAMERA] * 2)
        reads = [codec.reads(people, 0.01) for people in flat]
        met = [column[one.drawn] for one in reads for column in one]  # of others nothing is said
        return [*maps(targets), *found, *(one.drawn for one in reads), *met]

    compiled = everything()
    with plainly():
        assert ENCODE.take(0.0) is not ENCODE.compiled
        assert_same(everything(), compiled)


def calls_of(tier: Tier, seconds: float) -> list[bool]:
    """Ask for work ten times; return whether it was compiled."""
    return [tier.take(seconds) is tier.compiled for _ in range(10)]


@pytest.mark.parametrize(("cached", "patience_s"), [(False, PATIENCE_S), (True, CACHED_PATIENCE_S)])
def test_compiled_when_patience_is_at_an_end(cached: bool, patience_s: float) -> None:
    with mock.patch.object(Tier, "_cached", return_value=cached):
        assert calls_of(Tier(batch.decode_rows), 0.3 * patience_s) == [False] * 3 + [True] * 7
        much = Tier(batch.decode_rows)
        assert calls_of(much, 1.01 * patience_s) == [True] * 10
        assert much.take(0) is much.compiled  # it is there now


def test_warming_up_settles_it() -> None:
    codec = Codec(TargetSpec(input_hw=(96, 96)))
    tiers = {name: Tier(getattr(batch, name)) for name in ("encode_rows", "decode_rows", "collide_row")}
    patched: Callable[..., Any] = mock.patch.multiple
    with patched("spmdata.codec.codec", ENCODE=tiers["encode_rows"], DECODE=tiers["decode_rows"],
                 COLLIDE=tiers["collide_row"]), mock.patch.object(Tier, "_cached", return_value=False):  # fmt: skip
        codec.warm_up(rows=16, people=40)  # some 0.2 and 0.3 s
        codec.warm_up(people=300, decode=False)
        assert not any(tier.settled for tier in tiers.values())
        codec.warm_up(people=1000, decode=False)
        assert [tier.settled for tier in tiers.values()] == [True, False, False]
        codec.warm_up()
        assert all(tier.settled for tier in tiers.values())


def test_a_cold_process_compiles_nothing_for_a_few_pictures(tmp_path: Path) -> None:
    code = """
import numpy as np
from spmdata import Codec, TargetSpec
from spmdata.people import People
codec = Codec(TargetSpec(input_hw=(96, 96)))
people = People.of(np.random.default_rng(0).uniform(0, 96, (1, 17, 2)), np.full((1, 17), 2))
print(len(codec.decode(codec.encode(people))), codec.reads(people).drawn.tolist())
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "[True]"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_kept_is_compiled() -> None:
    """It is drawn again and again."""
    with plainly(), mock.patch.object(ENCODE, "_plain", None):
        Codec(TargetSpec(input_hw=(96, 96))).kept(1).encode([SOMEBODY])
