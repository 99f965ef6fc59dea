"""Which worker fits where, and how that is said."""

from acme_agents.launch import placement
from acme_agents.launch.options import Role, Roles
from acme_agents.runtime.nodes import Node

_NODES = [Node("replay"), Node("learner"), *(Node("actor", i) for i in range(4))]
_ROLES = Roles(replay=Role(memory_gib=2), learner=Role(cpus=2, gpus=1), actor=Role(cpus=0.5))


def test_each_worker_is_placed_on_the_first_host_with_room() -> None:
    free = {"a": {"CPU": 2.0, "memory": 4.0 * 2**30}, "b": {"CPU": 4.0, "GPU": 1.0}}
    placed, left = placement.fit(_NODES, _ROLES, free)
    assert left == []
    assert [placed[node] for node in _NODES] == ["a", "b", "a", "a", "b", "b"]
    assert free["a"]["CPU"] == 2.0  # What is asked of is not changed.


def test_what_has_no_room_is_left_over() -> None:
    placed, left = placement.fit(_NODES, _ROLES, {"a": {"CPU": 1.0}, "b": {"CPU": 2.5, "GPU": 1.0}})
    assert left == [Node("replay"), Node("actor", 3)]  # No memory; and no CPU any more.
    assert len(placed) == 4


def test_a_worker_that_asks_for_nothing_still_asks_for_something() -> None:
    assert placement.bundle(Role(cpus=0)) == {"CPU": 0.001}
    assert placement.bundle(Role(cpus=2, gpus=1, memory_gib=0.5)) == {"CPU": 2, "GPU": 1, "memory": 2**29}


def test_names_and_amounts_are_short() -> None:
    nodes = [Node("learner"), Node("actor", 2), Node("actor", 3), Node("actor", 4), Node("actor", 7)]
    assert placement.names(nodes) == "learner-0, actor-2 to actor-4, actor-7"
    assert placement.describe({"CPU": 1.0, "GPU": 2.0, "memory": 3 * 2**29}) == "1 CPU, 2 GPUs, 1.5 GiB of memory"
    assert placement.describe({}) == "nothing"
