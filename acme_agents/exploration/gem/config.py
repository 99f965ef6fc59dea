"""Every number of geometric entropy maximisation."""

import dataclasses
from typing import Annotated, Literal

from acme_agents.core.configs import Layers, NotNegative, Positive, PositiveInt, above, at_least
from acme_agents.exploration.config import Learnt


@dataclasses.dataclass(frozen=True)
class Config(Learnt):
    """Geometric entropy maximisation, as reconstructed here: all numbers are ours, none is known from the paper."""

    learning_rate: NotNegative = 3e-4
    """Adam's, per gradient step (ours)."""
    similarity: Literal["gaussian", "learned"] = "gaussian"
    """g, how alike two states are: by the distance of their observations, or by how soon one follows the other
    (ours)."""
    bandwidth: Positive = 0.25
    """h of the Gaussian, in median distances of two states visited (ours)."""
    rarity_layers: Layers = (256, 256)
    """Widths of the ReLU layers behind the encoded observation of the network that says log f (ours)."""
    embedding_layers: Layers = (64, 64)
    """Widths of the ReLU layers of the learned similarity's embedding, before a linear one (ours)."""
    embedding_size: PositiveInt = 16
    """Numbers of that embedding (ours)."""
    adjacency: PositiveInt = 4
    """Steps within which one state follows another, for the learned similarity (ours). A base agent of n-step
    transitions has n at most."""
    contrast_size: Annotated[int, at_least(2)] = 1024
    """States of a batch that are compared with each other in a gradient step (ours)."""
    max_rarity: Annotated[float, above(1)] = 1024.0
    """f at most: in how many places that are not alike the agent can be (ours)."""
    reward: Literal["gradient", "rarity"] = "gradient"
    """What is paid: the gradient of the entropy, which is log f less how rare what is alike is said to be; or log f
    alone, which follows a changing policy more slowly (ours)."""
    normalise_observations: bool = True
    """By the mean and the deviation of all observations so far, clipped to 10; images and grids are left alone, as
    in ppo."""
