"""Write the golden stores anew: for a new format version, or a new field of TargetSpec, and for nothing else.

From the root of the project: ``PYTHONPATH=tests .venv/bin/python -m store.make_golden``
"""

import shutil
from pathlib import Path

from store.cases import layout_of, write_store

GOLDEN = Path(__file__).with_name("golden.zarr")
GOLDEN_H5 = Path(__file__).with_name("golden.h5")

if __name__ == "__main__":
    shutil.rmtree(GOLDEN, ignore_errors=True)
    shutil.rmtree(GOLDEN_H5.with_name("golden.h5.shards"), ignore_errors=True)
    GOLDEN_H5.unlink(missing_ok=True)
    for path in (GOLDEN, GOLDEN_H5):
        write_store(path, layout_of(rows=3, shard_rows=2))
