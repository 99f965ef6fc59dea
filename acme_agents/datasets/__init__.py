"""Recorded episodes, for agents that learn from them: read from four formats, checked, and written as one of them.

`load` tells the format by what is at the path:

A directory of Minari's, with `data/` in it (https://minari.farama.org), ours or anyone's. What it says of its own
action space must be the environment's.

An HDF5 file as of D4RL (https://arxiv.org/abs/2004.07219): `observations`, `actions`, `rewards`, `terminals` and
`timeouts`, row after row. Without `next_observations` there is no observation after a time-out, and so none of the
transition into it.

An HDF5 file of d3rlpy's (https://github.com/takuseno/d3rlpy), of its version 1 or 2, which is read likewise.

TFRecord files of RL Unplugged's dm_control suite (https://arxiv.org/abs/2006.13888): a directory, a pattern such as
`cartpole_swingup/train-0000*`, or one file.

In all of them actions are the environment's own, and are mapped once by its bounds; only in datasets that `save` wrote
they are canonical already. The episodes that `load` returns are canonical, as `environments` makes them, and fit the
environment's spec. An episode that does not fit is an error whose sentence names the file and the episode, or is left
out if you ask for that. An incomplete file is an error. `save` writes Minari's format, which `minari.load_dataset`
reads. `store` writes the rows of what `load` would return to the disk, for datasets larger than memory. `summarise`
says what is in a dataset, whatever its environment, and `convert` writes it in another format; these three have one
episode in memory at a time, or a block of them.

Importing this package imports neither TensorFlow, Minari, Gymnasium nor h5py; reading imports only what it needs.
"""

from acme_agents.datasets.checks import DatasetError
from acme_agents.datasets.converting import convert
from acme_agents.datasets.loading import Selection, environment, load, locate
from acme_agents.datasets.saving import save
from acme_agents.datasets.stored import Stored, store
from acme_agents.datasets.summary import Summary, summarise

__all__ = [
    "DatasetError",
    "Selection",
    "Stored",
    "Summary",
    "convert",
    "environment",
    "load",
    "locate",
    "save",
    "store",
    "summarise",
]
