"""MATLAB's files: scipy's reader, and its nests of structs and cells as plain Python values.

MATLAB writes one struct as a struct and not as an array of one, nothing as an empty array, a number as a 1 x 1 array,
and numbers here and there as text. `Struct` hides all that: ask for a number, a text or a list.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spmdata.errors import AnnotationError


def read_mat(path: Path, *, squeeze: bool = True) -> tuple[dict[str, Any], str]:
    """Read a MATLAB file.

    Parameters
    ----------
    path : pathlib.Path
        The .mat.
    squeeze : bool
        Drop axes of length 1; False where rows must be told from columns.

    Returns
    -------
    variables : dict
        Numbers, text, arrays; structs as scipy's ``mat_struct``, to be wrapped in `Struct`.
    sha256 : str
        Hex digest of the file's bytes.

    Raises
    ------
    AnnotationError
        The file is missing, unreadable, damaged or of version 7.3, which is HDF5.
    """
    from scipy.io import loadmat  # slow to import, and only .mat files need it

    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        variables = loadmat(path, struct_as_record=False, squeeze_me=squeeze)
    except FileNotFoundError as error:
        raise AnnotationError(f"annotation file {path} does not exist") from error
    except NotImplementedError as error:
        raise AnnotationError(f"{path} is of MATLAB's version 7.3; save it with -v7 to have it read") from error
    except Exception as error:  # on garbage scipy raises ValueError, TypeError, zlib.error and more
        raise AnnotationError(f"{path} cannot be read as a MATLAB file: {error}") from error
    return {name: value for name, value in variables.items() if not name.startswith("__")}, sha256


class Struct:
    """One struct: its fields by name, whatever MATLAB made of them."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __contains__(self, name: str) -> bool:
        """Whether the field is there and not empty."""
        value = getattr(self._value, name, None)
        return value is not None and not (isinstance(value, np.ndarray) and value.size == 0)

    def raw(self, name: str) -> Any:
        """Return what stands in a field, None when it is missing or empty."""
        return getattr(self._value, name) if name in self else None

    def struct(self, name: str) -> Struct:
        """Return the struct in a field; one without fields when there is none."""
        return Struct(self.raw(name))

    def structs(self, name: str) -> list[Struct]:
        """Return the structs in a field: many, one or none."""
        return structs(self.raw(name))

    def number(self, name: str) -> float | None:
        """Return a number, also one written as text; None when the field is missing, empty or no number."""
        value = self.raw(name)
        try:
            return None if value is None else float(value.item() if isinstance(value, np.ndarray) else value)
        except (TypeError, ValueError):
            return None

    def text(self, name: str) -> str:
        """Return a text, empty when there is none."""
        value = self.raw(name)
        return value.strip() if isinstance(value, str) else ""

    def array(self, name: str) -> NDArray[np.float64] | None:
        """Return an array of numbers, None when there is none."""
        try:
            return None if self.raw(name) is None else np.asarray(self.raw(name), np.float64)
        except (TypeError, ValueError):
            return None


def structs(value: Any) -> list[Struct]:
    """Return the structs in an array or a cell of them; one struct is a list of one, nothing an empty list."""
    if value is None:
        return []
    return [Struct(one) for one in np.atleast_1d(np.asarray(value, object)).ravel() if hasattr(one, "_fieldnames")]
