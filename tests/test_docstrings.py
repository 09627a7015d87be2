"""The public names of spmdata say what they take, give and raise; ruff holds the rest."""

import inspect

import pytest

import spmdata

SECTIONS = (("Parameters", "Attributes"), ("Returns", "Raises"))


@pytest.mark.parametrize("name", spmdata.__all__)
def test_public_name_is_documented(name: str) -> None:
    thing = getattr(spmdata, name)
    if not callable(thing):
        return
    doc = inspect.getdoc(thing)
    assert doc, f"{name} has no docstring"
    if inspect.signature(thing).parameters:
        takes, gives = (any(f"{section}\n---" in doc for section in sections) for sections in SECTIONS)
        assert takes, f"{name} does not say what it takes"
        assert gives or inspect.isclass(thing), f"{name} does not say what it returns or raises"
