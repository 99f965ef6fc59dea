"""What room a Ray cluster has for the nodes of a program."""

import ray

from acme_agents.core import errors
from acme_agents.experiments import Experiment
from acme_agents.launch import head, placement
from acme_agents.launch.options import Options
from acme_agents.runtime import nodes as nodes_lib
from acme_agents.runtime.nodes import Node

START = "start one with `ray start --head`"  # what to do where no cluster answers


def dry_run(experiment: Experiment, options: Options) -> str:
    """Where the workers would be placed now, for a person.

    Raises:
      UserError: no cluster answers, or it has no room for them all.
    """
    head.connect(options, START)
    try:
        nodes = nodes_lib.of(experiment)
        placed, left = placement.fit(nodes, options.roles, free())
        lines = []
        for host, amounts in free().items():
            here = [node for node in nodes if placed.get(node) == host]
            lines.append(f"{host} ({placement.describe(amounts)} free): {placement.names(here) or 'nothing'}")
        if left:
            raise errors.UserError("\n".join([cannot_place(nodes, options), *lines]))
        return "\n".join([*lines, "This is one way to place them; Ray may choose another."])
    finally:
        ray.shutdown()


def cannot_place(nodes: list[Node], options: Options) -> str:
    """Says to a person for which of these nodes there is no room now, what they need and what is free."""
    amounts_of = free()
    _, left = placement.fit(nodes, options.roles, amounts_of)
    wanted = {node.role: placement.describe(placement.bundle(options.roles.of(node))) for node in left}
    needs = "; ".join(f"{role} needs {amount}" for role, amount in wanted.items()) or "others took the places meanwhile"
    hosts = "; ".join(f"{host} has {placement.describe(amounts)}" for host, amounts in amounts_of.items())
    return (
        f"The Ray cluster at {options.address} has no room for {placement.names(left) or 'all workers'} ({needs}; "
        f"free: {hosts}): add hosts, start fewer actors, or ask for less with --roles."
    )


def free() -> dict[str, dict[str, float]]:
    """What is free on each host of the cluster, by address."""
    from ray._private import state

    available = state.available_resources_per_node()
    return {n["NodeManagerAddress"]: available.get(n["NodeID"], {}) for n in ray.nodes() if n["Alive"]}
