"""Which worker fits on which host of a cluster."""

from collections.abc import Mapping, Sequence

from acme_agents.launch.options import Role, Roles
from acme_agents.runtime.nodes import Node

_GIB = 2**30
_ANY_CPU = 0.001  # what a worker that wants nothing is placed with: Ray places no empty bundle

Bundle = dict[str, float]  # amounts by Ray's names of resources


def bundle(role: Role) -> Bundle:
    """What a worker asks Ray for."""
    amounts = {"CPU": role.cpus, "GPU": role.gpus, "memory": role.memory_gib * _GIB}
    return {name: amount for name, amount in amounts.items() if amount} or {"CPU": _ANY_CPU}


def fit(
    nodes: Sequence[Node], roles: Roles, free: Mapping[str, Mapping[str, float]]
) -> tuple[dict[Node, str], list[Node]]:
    """Places workers on hosts, each on the first that has room for it.

    Args:
      nodes: the workers, those to be placed first in front.
      roles: what each is given.
      free: of each host, what is free there.

    Returns:
      The host of each worker that has one, and the workers for which there was no room.
    """
    left = {host: dict(amounts) for host, amounts in free.items()}
    placed: dict[Node, str] = {}
    for node in nodes:
        wanted = bundle(roles.of(node))
        for host, amounts in left.items():
            if all(amounts.get(name, 0.0) >= amount for name, amount in wanted.items()):
                placed[node] = host
                for name, amount in wanted.items():
                    amounts[name] -= amount
                break
    return placed, [node for node in nodes if node not in placed]


def describe(amounts: Mapping[str, float]) -> str:
    """Amounts for a person: "2 CPUs, 1 GPU, 4 GiB of memory"."""
    parts = []
    for name, one, many in (("CPU", "CPU", "CPUs"), ("GPU", "GPU", "GPUs")):
        if amount := amounts.get(name, 0.0):
            parts.append(f"{amount:g} {one if amount == 1 else many}")
    if memory := amounts.get("memory", 0.0):
        parts.append(f"{memory / _GIB:.3g} GiB of memory")
    return ", ".join(parts) or "nothing"


def names(nodes: Sequence[Node]) -> str:
    """Workers for a person, the many of one role as a range: "learner-0, actor-2 to actor-31"."""
    runs: list[list[Node]] = []
    for node in nodes:
        if runs and runs[-1][-1].role == node.role and runs[-1][-1].index == node.index - 1:
            runs[-1].append(node)
        else:
            runs.append([node])
    return ", ".join(run[0].name if len(run) == 1 else f"{run[0].name} to {run[-1].name}" for run in runs)
