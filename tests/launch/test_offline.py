"""A run is recorded, agents learn from the recording alone or with actors beside it, and a policy is collected."""

import dataclasses
import pathlib

import h5py
import numpy as np
import pytest

from acme_agents import datasets
from acme_agents.agents import bc, crr, dime, mpo
from acme_agents.core import checkpoint
from acme_agents.core.types import Trajectory
from acme_agents.experiments import Experiment
from acme_agents.launch import main as cli
from acme_agents.launch import run
from acme_agents.launch.collect import collect
from acme_agents.launch.evaluate import evaluate
from acme_agents.runtime import loggers

pytestmark = pytest.mark.slow

_ENVIRONMENT = "probe:reach"  # a random policy earns 12.6, the best one 47.1
_LENGTH = 50
_NETWORKS = {"policy_layers": (32,), "batch_size": 32}
_CRR = crr.Config(**_NETWORKS, critic_layers=(32,), min_replay_size=100, samples_per_insert=4.0, n_step=3)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory of a run of 3,000 steps, its history in `data`."""
    directory = tmp_path_factory.mktemp("recorded")
    config = mpo.Config(  # The update is that of test_in_process.py, which is compiled once.
        policy_layers=(32,), critic_layers=(32,), num_actions=4, batch_size=16, min_replay_size=100,
        samples_per_insert=8.0,
    )  # fmt: skip
    experiment = Experiment(
        "mpo", _ENVIRONMENT, config=config, max_steps=3000, eval_every=0, record=str(directory / "data")
    )
    run(experiment, run_dir=directory / "run")
    return directory


@pytest.fixture(scope="module")
def offline(recorded: pathlib.Path) -> Experiment:
    return Experiment(
        "crr", _ENVIRONMENT, config=_CRR, dataset=str(recorded / "data"), max_steps=0, max_updates=100, eval_every=40,
        eval_episodes=2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(offline: Experiment, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The run directory of `offline`, which has run to its end."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    result = run(offline, run_dir=run_dir)
    assert result.finished and result.evaluation_return is not None
    return run_dir


def _load(path: pathlib.Path) -> list[Trajectory]:
    return datasets.load(path, Experiment("mpo", _ENVIRONMENT).environment_spec())


def test_the_whole_history_is_in_the_dataset(recorded: pathlib.Path) -> None:
    trajectories = _load(recorded / "data")
    actor = loggers.read_csv(recorded / "run" / "actor.csv")
    assert [len(trajectory.reward) for trajectory in trajectories] == [_LENGTH] * 60
    returns = [trajectory.reward.sum() for trajectory in trajectories]
    np.testing.assert_allclose(returns, actor["episode_return"], rtol=1e-5)
    assert datasets.environment(recorded / "data") == _ENVIRONMENT


def test_nothing_is_recorded_or_collected_over_what_is_there(recorded: pathlib.Path, tmp_path: pathlib.Path) -> None:
    experiment = Experiment("mpo", _ENVIRONMENT, record=str(recorded / "data"))
    with pytest.raises(ValueError, match="data is there already: record to another path"):
        run(experiment, run_dir=tmp_path / "run")
    with pytest.raises(ValueError, match="data is there already: write the dataset to another path"):
        collect(recorded / "run", recorded / "data")
    assert not (tmp_path / "run").exists()


def test_offline_runs_end_at_their_budget_and_equal_seeds_give_equal_numbers(
    offline: Experiment, whole: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run(offline, run_dir=tmp_path / "b")
    run(dataclasses.replace(offline, seed=1), run_dir=tmp_path / "other")
    a, b, other = (
        loggers.read_csv(run_dir / "evaluator.csv") for run_dir in (whole, tmp_path / "b", tmp_path / "other")
    )
    # Sixteen updates in a call, so the evaluations come up to fifteen late; the last is of the last.
    np.testing.assert_array_equal(a["learner_steps"], [48, 80, 100])
    np.testing.assert_array_equal(a["actor_steps"], [0, 0, 0])
    np.testing.assert_array_equal(a["episode_return"], b["episode_return"])
    assert np.any(a["episode_return"] != other["episode_return"])


def test_an_offline_run_goes_on_bit_for_bit(offline: Experiment, whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run(dataclasses.replace(offline, max_updates=57), run_dir=tmp_path / "parts")
    run(offline, run_dir=tmp_path / "parts", resume=True)
    _assert_same_checkpoint(whole, tmp_path / "parts")


def test_with_a_part_in_memory_it_goes_on_bit_for_bit_too(
    offline: Experiment, whole: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    part = dataclasses.replace(offline, dataset_memory="40%")
    run(part, run_dir=tmp_path / "run")
    run(dataclasses.replace(part, max_updates=57), run_dir=tmp_path / "parts")
    run(part, run_dir=tmp_path / "parts", resume=True)
    _assert_same_checkpoint(tmp_path / "run", tmp_path / "parts")
    arrays, others = _newest(tmp_path / "run"), _newest(whole)
    assert any(np.any(arrays[name] != others[name]) for name in arrays)  # Other batches were drawn.


def _assert_same_checkpoint(one: pathlib.Path, other: pathlib.Path) -> None:
    arrays, others = _newest(one), _newest(other)
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], others[name])


def _newest(run_dir: pathlib.Path) -> dict[str, np.ndarray]:
    *_, step = checkpoint.steps(run_dir / checkpoint.DIRECTORY)
    with np.load(run_dir / checkpoint.DIRECTORY / f"{step:012d}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name != "meta.json"}


def test_fine_tuning_begins_when_the_offline_updates_are_done(offline: Experiment, tmp_path: pathlib.Path) -> None:
    experiment = dataclasses.replace(offline, offline_updates=70, max_steps=1000, max_updates=None, dataset_share=0.25)
    run(experiment, run_dir=tmp_path / "run")
    actor, evaluator = (loggers.read_csv(tmp_path / "run" / f"{name}.csv") for name in ("actor", "evaluator"))
    assert actor["learner_steps"][0] == 70
    np.testing.assert_array_equal(actor["actor_steps"], np.arange(_LENGTH, 1001, _LENGTH))
    # 900 transitions after the first hundred, four samples of each, thirty-two in an update.
    assert evaluator["learner_steps"][-1] == 70 + 900 * 4 // 32
    assert evaluator["learner_steps"][0] == 48 and evaluator["actor_steps"][0] == 0


def test_an_offline_run_goes_on_with_actors(offline: Experiment, tmp_path: pathlib.Path) -> None:
    run(dataclasses.replace(offline, max_updates=50), run_dir=tmp_path / "run")
    run(dataclasses.replace(offline, max_steps=500, max_updates=None), run_dir=tmp_path / "run", resume=True)
    actor, evaluator = (loggers.read_csv(tmp_path / "run" / f"{name}.csv") for name in ("actor", "evaluator"))
    assert actor["learner_steps"][0] == 50 and actor["actor_steps"][-1] == 500
    assert evaluator["learner_steps"][-1] == 50 + 400 * 4 // 32


def test_bc_is_crr_with_all_weights_bit_for_bit(offline: Experiment, tmp_path: pathlib.Path) -> None:
    rate = 1e-3
    all_weights = dataclasses.replace(_CRR, weight="all", n_step=1, policy_learning_rate=rate)
    imitation = bc.Config(**_NETWORKS, learning_rate=rate)
    returns = []
    for agent, config in (("crr", all_weights), ("bc", imitation)):
        run(dataclasses.replace(offline, agent=agent, config=config), run_dir=tmp_path / agent)
        returns.append(evaluate(tmp_path / agent, episodes=3))
    np.testing.assert_array_equal(*returns)


def test_good_episodes_can_be_left_out(offline: Experiment, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="keeping 0 of these leaves none"):
        run(dataclasses.replace(offline, keep_good=0.0, good_return=0.0), run_dir=tmp_path / "none")


def test_processes_learn_offline_and_leave_nothing(
    offline: Experiment, whole: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    result = run(offline, launcher="processes", run_dir=tmp_path / "run")
    assert result.finished
    assert loggers.read_csv(tmp_path / "run" / "evaluator.csv")["learner_steps"][-1] == 100
    assert sorted(path.name for path in (tmp_path / "run" / "logs").iterdir()) == ["evaluator-0.log", "learner-0.log"]
    _assert_same_checkpoint(whole, tmp_path / "run")


def test_processes_fine_tune(offline: Experiment, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    experiment = dataclasses.replace(
        offline, offline_updates=70, max_steps=1500, max_updates=None, num_actors=2, record=str(tmp_path / "data"),
        dataset_memory="40%",
    )  # fmt: skip
    result = run(experiment, launcher="processes", run_dir=tmp_path / "run")
    assert result.finished
    actor = loggers.read_csv(tmp_path / "run" / "actor.csv")
    assert actor["learner_steps"].min() >= 70
    # What an actor had not sent when it ended is not in the recording: at most one episode each.
    recorded = sum(len(trajectory.reward) for trajectory in _load(tmp_path / "data"))
    assert 1500 - 2 * _LENGTH <= recorded <= 1500


def test_crr_learns_from_mixed_data_what_bc_does_not(tmp_path: pathlib.Path) -> None:
    """Half of the episodes are random and half are of the best policy, in every state."""
    rng = np.random.default_rng(0)
    environment = Experiment("mpo", _ENVIRONMENT).make_environment("actor")
    trajectories = []
    for number in range(120):
        timesteps, actions = [environment.reset()], []
        for _ in range(_LENGTH):
            best = np.clip(-10 * timesteps[-1].observation, -1, 1)
            actions.append((rng.uniform(-1, 1, 2) if number % 2 else best).astype(np.float32))
            timesteps.append(environment.step(actions[-1]))
        trajectories.append(
            Trajectory(
                np.stack([timestep.observation for timestep in timesteps]),
                np.stack(actions),
                np.stack([timestep.reward for timestep in timesteps[1:]]),
                np.stack([timestep.discount for timestep in timesteps[1:]]),
            )
        )
    spec = Experiment("mpo", _ENVIRONMENT).environment_spec()
    datasets.save(tmp_path / "data", trajectories, spec, environment=_ENVIRONMENT, policy="half random")
    networks = {"policy_layers": (64, 64), "batch_size": 64, "policy": "gaussian"}
    agents = {
        "bc": bc.Config(**networks, learning_rate=1e-3),
        "crr": crr.Config(
            **networks, critic_layers=(64, 64), policy_learning_rate=1e-3, critic_learning_rate=1e-3, weight="binary",
            discount=0.9, vmax=10.0,
        ),
    }  # fmt: skip
    returns = {}
    for agent, config in agents.items():
        experiment = Experiment(
            agent, _ENVIRONMENT, config=config, dataset=str(tmp_path / "data"), max_steps=0, max_updates=3000,
            eval_every=3000, eval_episodes=20,
        )  # fmt: skip
        returns[agent] = run(experiment, run_dir=tmp_path / agent).evaluation_return
    assert returns["crr"] > 40.0
    assert returns["crr"] > returns["bc"] + 3.0


def test_pictures_are_learned_from(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`probe:pixels` pays 1 - (a - o/2)^2, and o, -1 or 1, is which half is white; without o the best is 0.75."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    sign = rng.choice([-1.0, 1.0], size=2000)
    pictures = np.zeros((2000, 3, 16, 16), np.uint8)  # as d3rlpy has them, its channels first
    pictures[sign < 0, :, :, :8] = pictures[sign > 0, :, :, 8:] = 255
    action = sign / 2 + rng.normal(size=2000) / 10
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["observations"], file["actions"] = pictures, action[:, None].astype(np.float32)
        file["rewards"], file["terminals"], file["episode_terminals"] = (
            1 - (action - sign / 2) ** 2,
            *np.ones((2, 2000)),
        )
    config = crr.Config(
        policy="gaussian", policy_layers=(16,), critic_layers=(16,), policy_learning_rate=1e-3, critic="scalar",
        batch_size=32,
    )  # fmt: skip
    experiment = Experiment(
        "crr", "probe:pixels", config=config, dataset=str(tmp_path / "a.h5"), dataset_memory="50%", max_steps=0,
        max_updates=200, eval_every=200, eval_episodes=20,
    )  # fmt: skip
    assert run(experiment, run_dir=tmp_path / "run").evaluation_return > 0.95


def test_a_policy_is_collected_and_teaches(recorded: pathlib.Path, tmp_path: pathlib.Path) -> None:
    returns = collect(recorded / "run", tmp_path / "data", steps=120, seed=5)
    again = collect(recorded / "run", tmp_path / "again", steps=120, seed=5)
    explored = collect(recorded / "run", tmp_path / "explored", steps=120, seed=5, explore=True)
    assert len(returns) == 3
    np.testing.assert_array_equal(returns, again)
    assert np.all(returns != explored)
    np.testing.assert_allclose([t.reward.sum() for t in _load(tmp_path / "data")], returns, rtol=1e-5)

    config = dime.Config(
        **_NETWORKS, critic_layers=(32,), num_actions=4, behaviour="teacher", preference=(0, 1), learning_rate=3e-3,
        policy_init_stddev=0.1, epsilon_mean=1.0,
    )  # fmt: skip
    experiment = Experiment(
        "dime", _ENVIRONMENT, config=config, dataset=str(recorded / "data"), max_steps=0, max_updates=1500, eval_every=0
    )
    with pytest.raises(ValueError, match="--teacher"):
        run(experiment, run_dir=tmp_path / "untaught")
    taught = dataclasses.replace(experiment, teacher=str(recorded / "run"))
    run(taught, run_dir=tmp_path / "taught")
    teacher, pupil = (evaluate(path, episodes=20)[0] for path in (recorded / "run", tmp_path / "taught"))
    assert abs(teacher.mean() - pupil.mean()) < 4.0
    with pytest.raises(ValueError, match="learns from no teacher"):
        run(dataclasses.replace(experiment, agent="bc", config=bc.Config(), teacher="x"), run_dir=tmp_path / "bc")


def test_one_network_for_all_trade_offs(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir = str(tmp_path / "run")
    flags = (
        *("--config.conditioned", "--config.policy-layers", "32", "--config.critic-layers", "32"),
        *("--config.num-actions", "8", "--config.min-replay-size", "100", "--config.samples-per-insert", "16"),
        *("--config.batch-size", "32", "--config.learning-rate", "3e-3", "--steps", "2000", "--eval-every", "0"),
    )
    cli.main(("train", "dime", "--env", "probe:tradeoff", "--run-dir", run_dir, *flags))
    actor = loggers.read_csv(pathlib.Path(run_dir) / "actor.csv")
    assert np.all(np.isfinite(actor["episode_return_1"]))
    found = []
    for preference in (("1", "0"), ("0.5", "0.5"), ("0", "1")):
        cli.main(("evaluate", run_dir, "--episodes", "1", "--config.preference", *preference))
        said = capsys.readouterr().out.splitlines()[-2:]
        found.append([float(line.split()[5].strip(",")) for line in said])
        assert "of objective 1" in said[0] and "of objective 2" in said[1]
    # The first objective is best at one end, the second at the other.
    assert found[0][0] > found[1][0] > found[2][0] and found[0][1] < found[1][1] < found[2][1]
