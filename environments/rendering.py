"""Which GL library MuJoCo renders with."""

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Iterator

NO_GL = "No GL library was found to render with: install libosmesa6 or libegl1 and set MUJOCO_GL=osmesa or egl."
NOT_ASKED = "This environment was made without a renderer: make it with render=True."

_DISABLED = ("", "off", "disable", "disabled", "false", "0")
_PROBE = "import mujoco; mujoco.Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 8, 8)"


@contextlib.contextmanager
def disabled() -> Iterator[None]:
    """A context in which nothing loads a GL library, so that dm_control imports even if MUJOCO_GL names a broken one.

    It leaves MUJOCO_GL as it was, or at "disable" if it was not set: for this process and its children.
    """
    chosen = os.environ.get("MUJOCO_GL", "disable")
    os.environ["MUJOCO_GL"] = "disable"
    try:
        yield
    finally:
        os.environ["MUJOCO_GL"] = chosen


def enable() -> str | None:
    """Sets MUJOCO_GL to a library that works, for this process and its children, and returns it.

    Where MUJOCO_GL names a library, only that one is tried; else EGL, which can use a GPU, then OSMesa. If none works,
    it returns None and leaves MUJOCO_GL alone.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower()
    candidates = ("egl", "osmesa") if asked in _DISABLED else (asked,)
    backend = next((candidate for candidate in candidates if _works(candidate)), None)
    if backend:
        os.environ["MUJOCO_GL"] = backend
    return backend


@functools.cache
def _works(backend: str) -> bool:
    # In a process of its own: a library that fails to load leaves PyOpenGL unusable for the next.
    command, environ = [sys.executable, "-c", _PROBE], {**os.environ, "MUJOCO_GL": backend}
    try:
        return subprocess.run(command, env=environ, capture_output=True, timeout=60).returncode == 0
    except subprocess.TimeoutExpired:
        return False
