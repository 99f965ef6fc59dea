"""Packaging: the exact versions are in requirements.lock; these are the ranges that are known to work."""

import pathlib
import re

from setuptools import find_packages, setup

VERSION = re.findall(r'^__version__ = "(.+)"$', pathlib.Path("acme_agents/__init__.py").read_text(), re.MULTILINE)[0]

# All that one process needs, on any Python from 3.10 on and the newest JAX.
ONE_PROCESS = [
    "jax>=0.6",
    "dm-haiku>=0.0.14",
    "optax>=0.2.4",
    "chex>=0.1.89",
    "numpy>=1.26",
    "absl-py>=1.4",
    "dm-env>=1.6",
    "gymnasium>=1.0",
    "tyro>=1.0.17",
    "rich>=13",
    "tensorboardX>=2.6",
    "psutil>=5.9",
]

ENVIRONMENTS = [
    "dm-control>=1.0.30",
    "gymnasium[classic-control,mujoco]>=1.0",
    "ale-py>=0.11",
    "minigrid>=3.0",
    "opencv-python-headless>=4.11",
    "imageio[ffmpeg]>=2.31",
]

DATASETS = ["minari[hdf5]>=0.5.3"]

PLOT = ["matplotlib>=3.8", "rliable>=1.2"]

PROFILE = ["py-spy>=0.4"]

# Several processes. dm-launchpad and dm-reverb are built against one TensorFlow, which fixes the rest: Linux x86-64 and
# Python 3.10 only.
DISTRIBUTED = [
    "dm-acme==0.4.0",
    "dm-launchpad==0.5.0",
    "dm-reverb==0.7.1",
    "tensorflow-cpu==2.8.4",
    "protobuf==3.19.6",
    "numpy<2",
    "setuptools<81",  # TensorBoard 2.8, which TensorFlow 2.8 asks for, imports pkg_resources; 81 and later have none.
]

# Environments in pure JAX, on Python 3.11 and newer. gymnax asks for gymnasium < 1.4.
GYMNAX = ["gymnax>=1.0"]
BRAX = ["brax>=0.14"]

# Everything, at the versions that the tests run with.
RUNTIME = [
    *DISTRIBUTED,
    "absl-py>=1.4",
    "dm-env>=1.6",
    "dm-control==1.0.50",
    "gymnasium[classic-control,mujoco]==1.4.0",
    "ale-py==0.12.1",
    "minigrid==3.1.0",
    "opencv-python-headless>=4.11,<4.12",  # Gymnasium resizes Atari's frames with it; from 4.12 on it wants NumPy 2.
    "matplotlib>=3.8",
    "rliable==1.2.0",
    "minari[hdf5]==0.5.3",
    "imageio[ffmpeg]>=2.31",
    *PROFILE,
]

# `--launcher ray`. No newer Ray accepts TensorFlow 2.8's protobuf.
CLUSTER = ["ray==2.48.0"]

DEV = ["pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3.6", "ruff>=0.8", "mypy>=1.13", "rlax>=0.1.6"]

setup(
    name="acme_agents",
    version=VERSION,
    description="Distributed reinforcement learning in JAX, in the tradition of Acme.",
    license="Apache-2.0",
    python_requires=">=3.10",
    # Named, so that an editable install puts this package on the path and not the folder that it lies in.
    package_dir={"acme_agents": "acme_agents"},
    packages=find_packages(include=["acme_agents*"]),
    package_data={
        "acme_agents": ["py.typed"],
        "acme_agents.launch": ["templates/*.txt"],
        "acme_agents.launch.benchmark": ["*.json"],
    },
    install_requires=ONE_PROCESS,
    extras_require={
        "environments": ENVIRONMENTS,
        "datasets": DATASETS,
        "plot": PLOT,
        "distributed": DISTRIBUTED,
        "runtime": RUNTIME,
        "cluster": CLUSTER,
        "gymnax": GYMNAX,
        "brax": BRAX,
        "dev": DEV,
        "profile": PROFILE,
        "wandb": ["wandb"],
    },
    entry_points={"console_scripts": ["acme-agents = acme_agents.launch.main:main"]},
)
