"""Settings of every test, made before anything imports JAX, MuJoCo or TensorFlow; processes that tests start inherit
them."""

import ast
import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")  # a [B] minus a [B, 1] is an error
os.environ.setdefault("MUJOCO_GL", "disable")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def imports_of() -> Callable[[Path], set[str]]:
    """A function from a source file to the dotted names it imports anywhere, inside functions too."""

    def read(path: Path) -> set[str]:
        package = path.relative_to(REPOSITORY).parent.parts
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                module = ".".join((*base, *filter(None, [node.module])))
                names.update(f"{module}.{alias.name}" for alias in node.names)  # the name may be a module
        return names

    return read
