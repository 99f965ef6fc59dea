"""The kinds of experience that an agent can learn from, a file each.

A kind knows how episodes are cut into chunks, which items a chunk holds, and how a batch is made of the rows of
episodes. Nothing else asks which kind it has.
"""

from acme_agents.core.experience.episodes import of_trajectories, with_items
from acme_agents.core.experience.kind import Experience, Layout, Piece, Rows
from acme_agents.core.experience.sequences import Sequences
from acme_agents.core.experience.transitions import Transitions
from acme_agents.core.experience.unrolls import Unrolls
from acme_agents.core.experience.windows import Windows

__all__ = [
    "Experience",
    "Layout",
    "Piece",
    "Rows",
    "Sequences",
    "Transitions",
    "Unrolls",
    "Windows",
    "of_trajectories",
    "with_items",
]
