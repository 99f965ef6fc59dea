"""The modules of benchmarks/, found where a script of that folder finds them: beside itself."""

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def script(repository) -> Iterator[Callable[[str], ModuleType]]:
    """A function from a script's name to its module."""
    sys.path.insert(0, str(repository / "benchmarks"))
    yield importlib.import_module
    sys.path.remove(str(repository / "benchmarks"))
