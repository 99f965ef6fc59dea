"""Packages that an installation may lack, and the extras of acme_agents that bring them."""

_EXTRAS = {
    "environments": ("ale_py", "cv2", "dm_control", "imageio", "minigrid", "mujoco", "pygame"),
    "datasets": ("h5py", "minari"),
    "plot": ("matplotlib", "rliable"),
    "distributed": ("acme", "courier", "launchpad", "reverb", "tensorflow"),
    "cluster": ("ray",),
}
_EXTRA_OF = {package: extra for extra, packages in _EXTRAS.items() for package in packages}


def advice(error: ModuleNotFoundError) -> str:
    """How to install what an import missed, one sentence; empty where no extra of ours brings it."""
    package = (error.name or "").partition(".")[0]
    extra = _EXTRA_OF.get(package, "")
    if not extra:
        return ""
    where = ", on Linux x86-64 with Python 3.10" if extra in ("distributed", "cluster") else ""
    return f"{package} is not installed: pip install 'acme_agents[{extra}]'{where}."
