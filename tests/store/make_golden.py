"""Write golden.zarr anew: for a new format version, or a new field of TargetSpec, and for nothing else.

From the root of the project: ``PYTHONPATH=tests .venv/bin/python -m store.make_golden``
"""

import shutil
from pathlib import Path

from store.cases import layout_of, write_store

GOLDEN = Path(__file__).with_name("golden.zarr")

if __name__ == "__main__":
    shutil.rmtree(GOLDEN, ignore_errors=True)
    write_store(GOLDEN, layout_of(rows=3, shard_rows=2))
