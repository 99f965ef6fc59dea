"""Packages that an installation may lack, and the extras of acme_agents that bring them."""

_EXTRAS = {
    "environments": ("ale_py", "cv2", "dm_control", "imageio", "minigrid", "mujoco", "pygame"),
    "datasets": ("h5py", "minari"),
    "plot": ("matplotlib", "rliable"),
    "distributed": ("acme", "courier", "launchpad", "reverb", "tensorflow"),
    "cluster": ("ray",),
    "gymnax": ("gymnax",),
    "brax": ("brax",),
}
_LINUX = ", on Linux x86-64 with Python 3.10"
_MODERN = ", on Python 3.11 or newer"
_WHERE = {"distributed": _LINUX, "cluster": _LINUX, "gymnax": _MODERN, "brax": _MODERN}
_EXTRA_OF = {package: extra for extra, packages in _EXTRAS.items() for package in packages}


def advice(error: ModuleNotFoundError) -> str:
    """How to install what an import missed, one sentence; empty where no extra of ours brings it."""
    package = (error.name or "").partition(".")[0]
    extra = _EXTRA_OF.get(package, "")
    if not extra:
        return ""
    where = _WHERE.get(extra, "")
    return f"{package} is not installed: pip install 'acme_agents[{extra}]'{where}."
