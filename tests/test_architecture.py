"""The floors of the house, held by reading every import with ``ast``."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = (
    ("errors", "kernels"),
    ("geometry",),
    ("skeleton", "camera"),
    ("people", "skeletons", "skeleton_names", "pixels"),
    ("padded", "spec", "images", "views", "skeleton_file", "skeleton_edges"),
    ("codec", "sources", "metrics", "store"),
    ("roundtrip",),
    ("draw", "spec_file", "stream", "prepare", "verify", "tune", "census", "skeleton_picture"),
    ("contents",),
    ("spmdata",),  # __init__.py, the lazy door: below the other packages, above its own rooms
    ("spmtrain",),
    ("spmcli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
PACKAGES = {"spmdata": ROOT / "spmdata", "spmtrain": ROOT / "spmtrain", "spmcli": ROOT / "cli/spmcli"}
NOT_SHIPPED = {"cli", "tests", "benchmarks", "naive"}
BANNED = {
    "spmdata": {"torch", "click", *NOT_SHIPPED},
    "spmtrain": {"dask", "distributed", "click", "numba", *NOT_SHIPPED},
    "spmcli": NOT_SHIPPED,
}
KERNELS_MAY = {"numpy", "numba", "llvmlite", "math", "typing", "contextlib", "pathlib", "collections", "__future__"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES = {line.partition(">")[0].lower().replace("-", "_") for line in PROJECT["dependencies"]}
FOLDERS = ("spmdata", "spmtrain", "cli", "tests", "benchmarks")
PYTHON_FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def room_of(module: str) -> str:
    """Return the room a dotted name belongs to: a module or subpackage of spmdata, or a whole package."""
    package, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    return room if package == "spmdata" and room in FLOOR else package


def imports_of(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Yield line and absolute dotted name of every import, wherever it stands in the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def complaints(source: str, module: str, package: str) -> list[str]:
    """Return one sentence for each import of `module`, a file of `package`, that breaks a rule."""
    here, found = room_of(module), []
    if module.startswith("spmdata.") and here == "spmdata":
        found.append(f"{module} stands on no floor: give it one in FLOORS and in the design")
    for line, name in imports_of(source, package):
        top, there, where = name.partition(".")[0], room_of(name), f"{module}:{line} imports {name}"
        if top in PACKAGES:
            if there != here and FLOOR[there] >= FLOOR[here]:
                found.append(f"{where}: {there} is not below {here}")
            if there == "kernels" and here not in ("kernels", "codec"):
                found.append(f"{where}: codec is the only door to kernels")
        elif top in BANNED[module.partition(".")[0]] or (here == "kernels" and top not in KERNELS_MAY):
            found.append(f"{where}: {here} must not")
    return found


def misnamed(parts: tuple[str, ...]) -> set[str]:
    """Return the parts of a module's path that say nothing, or that another module is known by."""
    return set(parts) & (sys.stdlib_module_names | DEPENDENCIES | {"utils", "helpers", "common"})


def test_imports_go_down() -> None:
    found = []
    for name, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = (name, *path.relative_to(folder).with_suffix("").parts)
            package = ".".join(parts[:-1])
            module = package if parts[-1] == "__init__" else ".".join(parts)
            found += complaints(path.read_text(encoding="utf-8"), module, package)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("spmdata.people", "import spmdata.codec", "codec is not below people"),
        ("spmdata.store.writer", "def f():\n    from spmdata import codec", "codec is not below store"),
        ("spmdata.sources.coco", "from ..store.reader import Store", "store is not below sources"),
        ("spmdata.skeleton", "from . import skeletons", "skeletons is not below skeleton"),
        ("spmdata.prepare", "from spmdata import TargetSpec", "spmdata is not below prepare"),
        ("spmdata.verify", "from spmdata.kernels import walk", "only door to kernels"),
        ("spmdata.verify", "import spmtrain", "spmtrain is not below verify"),
        ("spmdata.kernels.walk", "import scipy.ndimage", "kernels must not"),
        ("spmdata.kernels.walk", "from spmdata.geometry import Affine", "geometry is not below kernels"),
        ("spmdata.draw", "if True:\n    import torch.cuda", "draw must not"),
        ("spmdata", "import click", "spmdata must not"),
        ("spmdata.utils", "", "stands on no floor"),
        ("spmtrain.loop", "import numba", "spmtrain must not"),
        ("spmtrain.loop", "from spmcli.output import table", "spmcli is not below spmtrain"),
        ("spmcli.main", "import cli.spmcli.options", "spmcli must not"),
    ],
)
def test_checker_sees_violation(module: str, source: str, complaint: str) -> None:
    (found,) = complaints(source, module, module.rpartition(".")[0])
    assert complaint in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "spmdata.codec",
            "import numpy\nfrom spmdata.kernels import walk\nfrom .spec import TargetSpec",
        ),
        ("spmdata.store.writer", "from .schema import StoreSpec\nfrom spmdata.store import ledger"),
        ("spmdata.kernels.walk", "import math\nfrom .jit import jit"),
        ("spmdata", "from spmdata.verify import verify_store"),
        ("spmtrain.loop", "import torch\nimport spmdata\nfrom spmtrain.loss import loss"),
        ("spmcli.main", "import click\n\ndef train():\n    from spmtrain import fit"),
    ],
)
def test_checker_passes_descent(module: str, source: str) -> None:
    assert complaints(source, module, module.rpartition(".")[0] or module) == []


def test_files_stay_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON_FILES}
    assert {str(path): length for path, length in lengths.items() if length > 300} == {}


def test_names_say_something_and_shadow_nothing() -> None:
    assert misnamed(("store", "utils")) == {"utils"}
    assert misnamed(("queue", "zarr")) == {"queue", "zarr"}
    paths = [path.relative_to(ROOT) for path in PYTHON_FILES]
    assert [str(path) for path in paths if misnamed(path.with_suffix("").parts)] == []


def test_cli_folder_is_no_package() -> None:
    assert not (ROOT / "cli/__init__.py").exists()


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("spmdata", {"numba", "zarr", "dask", "torch", "h5py"}),
        ("spmcli.main", {"numba", "torch", "zarr", "dask", "rich"}),
    ],
)
def test_import_is_light(module: str, heavy: set[str]) -> None:
    if not any(PACKAGES[module.partition(".")[0]].glob("*.py")):
        pytest.skip(f"{module} does not exist yet")
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert heavy & set(loaded.split()) == set()
