"""The examples in the reference documentation run."""

import doctest
import importlib
import pkgutil

import pytest

import ocs.visibility

MODULES = [
    "ocs.visibility",
    *(f"ocs.visibility.{module.name}" for module in pkgutil.iter_modules(ocs.visibility.__path__)),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
