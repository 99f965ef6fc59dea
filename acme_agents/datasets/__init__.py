"""Recorded episodes, for agents that learn from them: read from three formats, checked, and written as one of them.

`load` tells the format by what is at the path:

A directory of Minari's, with `data/` in it (https://minari.farama.org), ours or anyone's. Its actions are mapped from
its own space to ours, as `environments.gym` maps them.

An HDF5 file as of D4RL (https://arxiv.org/abs/2004.07219): `observations`, `actions`, `rewards`, `terminals` and
`timeouts`, row after row. Without `next_observations` there is no observation after a time-out, and so none of the
transition into it.

TFRecord files of RL Unplugged's dm_control suite (https://arxiv.org/abs/2006.13888): a directory, a pattern such as
`cartpole_swingup/train-0000*`, or one file.

What is returned is canonical, as `environments` makes it, and of the environment's spec; whatever is not is refused in
one sentence that names the file and the episode, and so is a file that is not whole. `save` writes Minari's format,
and `minari.load_dataset` reads it.

Importing this package imports neither TensorFlow, Minari, Gymnasium nor h5py; reading imports only what it needs.
"""

from acme_agents.datasets.checks import DatasetError
from acme_agents.datasets.loading import environment, load
from acme_agents.datasets.saving import save

__all__ = ["DatasetError", "environment", "load", "save"]
