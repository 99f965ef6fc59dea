"""What nodes are given, and the record of them."""

import dataclasses
import os
import pathlib
import pickle
import sys

import psutil
import pytest

from acme_agents.launch import node_files, processes
from acme_agents.launch.node_files import Record
from acme_agents.launch.options import Options, Role, Roles
from acme_agents.runtime.nodes import LEARNER, NODES, SERVERS, Node


def test_a_record_is_read_as_it_was_written(tmp_path: pathlib.Path) -> None:
    assert node_files.read_record(tmp_path) is None
    options = Options(ports=(1000, 2000), address="head:6379", roles=Roles(actor=Role(cpus=0.5, max_restarts=9)))
    written = Record("ray", options, {"group": "x"}, [{"role": "actor", "index": 1, "host": "h", "pid": 7}])
    written.write(tmp_path)
    assert node_files.read_record(tmp_path) == written
    assert options.roles.of(Node("actor", 1)).max_restarts == 9
    node_files.remove_record(tmp_path)
    assert node_files.read_record(tmp_path) is None and not list(tmp_path.iterdir())


@pytest.mark.parametrize("ports", [(0, 10), (20, 10), (1, 70_000)])
def test_a_range_of_ports_that_is_none_is_refused(ports: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="--ports"):
        Options(ports=ports)


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "head:http"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="--address must be HOST:PORT"):
        Options(address=address)


def test_without_ray_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="install the extra `cluster`"):
        Options(address="head:6379")


def test_every_role_of_the_list_has_its_options() -> None:
    assert [field.name for field in dataclasses.fields(Roles)] == [kind.role for kind in NODES]
    assert all(kind.description in str(Roles.__doc__) for kind in NODES)
    for role in (Role(), Role(gpus=1)):
        roles = pickle.loads(pickle.dumps(Roles(learner=role)))
        assert roles == Roles(learner=role) and roles.of(LEARNER) == role


def test_what_a_role_is_given_is_not_negative() -> None:
    with pytest.raises(ValueError, match="cpus is -1"):
        Role(cpus=-1)


def test_the_ports_of_two_programs_seldom_clash() -> None:
    found = [processes.free_ports(SERVERS, processes.shuffled((20_000, 29_999))) for _ in range(20)]
    assert all(20_000 <= port <= 29_999 for ports in found for port in ports.values())
    assert all(ports["replay"] != ports["learner"] for ports in found)
    assert len({port for ports in found for port in ports.values()}) > 30


def test_those_that_choose_at_once_on_one_host_choose_different_ports() -> None:
    within = (21_000, 21_009)
    parts = [processes.shuffled(within, part, 4) for part in range(4)]
    assert all(sorted(ports) == list(range(21_000, 21_010)) for ports in parts)
    first = [set(ports[:2]) for ports in parts]
    assert all(first[i].isdisjoint(first[j]) for i in range(4) for j in range(i))
    assert {tuple(processes.shuffled(within, 0, 4)) for _ in range(20)} != {tuple(parts[0])}


def test_a_number_that_another_process_has_by_now_is_nobody() -> None:

    started = psutil.Process().create_time()
    assert processes.alive([{"pid": os.getpid(), "started": started}])
    assert not processes.alive([{"pid": os.getpid(), "started": started - 100}])
