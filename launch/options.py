"""How a program is launched: its options, and what each of its nodes is given."""

import dataclasses
import importlib.util
import math
import pathlib
from typing import TYPE_CHECKING, Literal

from acme_agents.core import errors
from acme_agents.runtime import compilation
from acme_agents.runtime.nodes import NODES, Node

Launcher = Literal["in-process", "processes", "ray", "fused"]


@dataclasses.dataclass(frozen=True)
class Role:
    """What each node of a role is given."""

    cpus: float = 1.0
    """CPU cores that Ray keeps for it."""
    gpus: float = 0.0
    """GPUs that Ray keeps for it."""
    memory_gib: float = 0.0
    """Memory that Ray keeps for it, in GiB; 0 to place it without asking for any."""
    max_restarts: int = 5
    """Deaths in a row that are forgiven, on any launcher; a life of ten minutes forgives those before it."""

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value < 0:
                raise errors.UserError(f"What a role is given must be at least 0, and its {name} is {value}.")


class _Roles:
    """What the nodes of each role are given."""

    def of(self, node: Node) -> Role:
        """What a node is given."""
        return getattr(self, node.role)


if TYPE_CHECKING:
    Roles = _Roles
else:
    _FIELDS = "\n".join(f"  {kind.role}: {kind.description}" for kind in NODES)
    Roles = dataclasses.make_dataclass(
        "Roles",
        [(kind.role, Role, Role()) for kind in NODES],
        bases=(_Roles,),
        # The command line's help is from the docstring.
        namespace={"__module__": __name__, "__doc__": f"{_Roles.__doc__}\n\nAttributes:\n{_FIELDS}\n"},
        frozen=True,
    )


@dataclasses.dataclass(frozen=True)
class Options:
    """How a program is launched; the same experiment with other options is the same run."""

    ports: tuple[int, int] = (20_000, 29_999)
    """First and last of the ports to choose from: on this machine with --launcher processes, where only it itself can
    reach them, and on each host with --launcher ray."""
    address: str | None = None
    """HOST:PORT of the Ray cluster, with --launcher ray."""
    place_seconds: float = 120.0
    """Seconds that the Ray cluster has to place all workers at the start."""
    roles: Roles = dataclasses.field(default_factory=Roles)
    """What each node is given, by role."""
    seeds: int = 1
    """With --launcher fused: runs side by side that differ in their seed alone, --seed and those after it, each in
    a directory seed-N of the run directory."""
    debug: bool = False
    """With --launcher in-process: compile nothing, so that print and pdb see numbers, and check at every step what each
    function of the agent returns; slow."""
    wandb: bool = False
    """Log to Weights & Biases too, if it is installed."""
    profile: float = 0.0
    """Seconds to profile every process of the run for, once it learns, into `profile` in the run directory: a flame
    graph and JAX's trace; 0 for none."""
    compilation_cache: str | None = None
    """Directory that keeps what XLA compiles, for restarted workers and later runs; "off" for none (default: one under
    the user's cache directory)."""

    def __post_init__(self) -> None:
        if not 0 <= self.profile < math.inf:
            raise errors.UserError(f"--profile must be a number of seconds from 0, not {self.profile}.")
        if self.seeds < 1:
            raise errors.UserError(f"--seeds must be at least 1, not {self.seeds}.")
        first, last = self.ports
        if not 1 <= first <= last <= 65_535:
            raise errors.UserError(
                f"--ports must be the first and the last of a range within 1 to 65535, not {first} {last}."
            )
        if self.address is not None:
            host, _, port = self.address.rpartition(":")
            if not host or not port.isdigit():
                raise errors.UserError(f"--address must be HOST:PORT, not {self.address}.")
            if importlib.util.find_spec("ray") is None:
                raise errors.UserError("--launcher ray needs Ray, which is not installed: install the extra `cluster`.")

    def with_absolute_paths(self) -> "Options":
        """The same options, which mean the same from any working directory."""
        cache = self.compilation_cache
        if cache in (None, compilation.OFF):
            return self
        return dataclasses.replace(self, compilation_cache=str(pathlib.Path(cache).absolute()))
