"""Every number of BYOL-Hindsight that is not as in BYOL-Explore."""

import dataclasses
from typing import Annotated

from acme_agents.core.configs import Layers, Positive, PositiveInt, at_least
from acme_agents.exploration.byol_explore.config import WorldModel


@dataclasses.dataclass(frozen=True)
class Config(WorldModel):
    """BYOL-Hindsight.

    Sources: [H] Jarrett et al. 2022, from notes on the paper; [G] a port's configuration for grids, [X] its large one;
    [C] CuriousAgents, a port by others.
    """

    divisor: Positive = 1.0
    """lambda of the loss and the bonus, `L_rec / lambda + L_inv` [H]; every port has 1. A small one makes certain that
    what can be learnt is not paid for once it is."""
    hindsight_size: PositiveInt = 32
    """Numbers of z, which tells in hindsight what could not be foreseen [G]; [X] has 256."""
    noise_size: PositiveInt = 32
    """Numbers of noise that z is drawn with (ours, as z); [X] has 256."""
    generator_layers: Layers = (64, 64)
    """Widths of the ReLU layers that make z [G]; [X] has 512 three times."""
    reconstructor_layers: Layers = (64, 64)
    """Widths of the ReLU layers that make an embedding of state, action and z [G]."""
    critic_layers: Layers = (64, 64)
    """Widths of the ReLU layers that tell the z of a state and an action from that of others [G]."""
    critic_limit: Positive = 5.0
    """The critic's numbers lie within it of 0, by a tanh [C]: L_inv can be twice as large at most."""
    num_candidates: Annotated[int, at_least(2)] = 16
    """J, among which the critic finds the right z: L_inv is at most log J (ours); the ports have their whole batch."""
    critic_learning_rate: Positive = 1e-3
    """Adam's, of the critic, per gradient step (ours)."""
