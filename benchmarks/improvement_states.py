"""Where MPO improves its policy: what each choice costs, what it leaves unlearnt, and what control tasks say of it.

A transition goes from o_t, where a_t was taken, to its bootstrap state o_{t+m}, m <= n. `improve_at.py` has the
choices; MPO's own is o_t, with `num_bootstrap_actions` at o_{t+m}. Of an episode of T steps, its states 0 .. T, the
bootstrap states are n .. T - 1 once each and T, where nobody acts, n times; the states o_t are 0 .. T - 1 once each.
Two tables:

1. For each choice, how often an update evaluates the target critic and improves a state, for each transition; its
   floating-point operations, as XLA counts them, and its time, both over the first row's, by kind of critic (256x3,
   batch 256, 20 actions, interleaved in this process); and the return on `probe:blank3` and `probe:blank8` after 1,500
   updates on uniformly random actions, as a share of the optimum, with n = 4: a policy that does not depend on the
   state earns 0.75 of it at best.
   Then, by kind of critic, how noisy few bootstrap actions make the critic's gradient: the root-mean-square error of a
   minibatch's gradient against that with 512 actions, over the noise of the minibatch itself, after 2,000 updates on
   uniformly random actions in cartpole.
2. With --learn: the returns of MPO on control tasks, small networks, before (bootstrap) and after.

    python benchmarks/improvement_states.py --output benchmarks/results/improvement_states.md
    python benchmarks/improvement_states.py --learn --output benchmarks/results/improvement_states_learn.md

Runs of --learn take turns in this process, about a minute each on an idle machine. What is measured and each run are
kept under --runs, so that the same command goes on after an interruption; --report tells of what is there alone.
"""

import dataclasses
import json
import pathlib
import re
import statistics
from collections.abc import Callable
from typing import Any

import common
import improve_at
import jax
import jax.numpy as jnp
import numpy as np
from learner import filled_store, make_bare_update, measure_updates

from acme_agents import environments
from acme_agents.agents import mpo
from acme_agents.agents.mpo import networks
from acme_agents.core import distributions
from acme_agents.core.interfaces import REPLAY, ActorContext, Agent
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Trajectory
from acme_agents.experiments import Experiment
from acme_agents.replay import chunks, device_replay, ring
from acme_agents.runtime import loggers

_HALF_CHEETAH = EnvironmentSpec(ArraySpec((17,)), ArraySpec((6,)))
_CRITICS = ("mixture", "categorical", "scalar")
# Name: (agent's module, what differs in its configuration, evaluations and improved states for each transition).
_CHOICES: dict[str, tuple[Any, dict[str, Any], int, float]] = {
    "bootstrap state (before)": (improve_at, {"improve_at": "bootstrap"}, 20, 1),
    "half of the batch each": (improve_at, {"improve_at": "half"}, 30, 1),
    "both": (improve_at, {"improve_at": "both"}, 40, 2),
    "where taken, 20 at the bootstrap state": (mpo, {"num_bootstrap_actions": 20}, 40, 1),
    "where taken, 4 (default)": (mpo, {"num_bootstrap_actions": 4}, 24, 1),
    "where taken, 1": (mpo, {"num_bootstrap_actions": 1}, 21, 1),
}
_BOOTSTRAP_ACTIONS = (1, 2, 4, 8, 20)
_SMALL: dict[str, Any] = {
    "policy_layers": (64,),
    "critic_layers": (64,),
    "critic": "scalar",
    "policy_init_stddev": 0.2,
    "n_step": 4,
    "discount": 0.5,
    "learning_rate": 5e-3,
    "target_update_period": 20,
    "init_log_temperature": -1.0,
    "init_log_alpha_mean": 0.0,
}


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--repeats", default=5, type=int, help="rounds of the timing")
    parser.add_argument("--seconds", default=0.3, type=float, help="that each contestant takes in a round, about")
    parser.add_argument("--minibatches", default=8, type=int, help="on which the noise is measured")
    parser.add_argument("--learn", action="store_true", help="train, and compare returns, instead")
    parser.add_argument("--report", action="store_true", help="measure and train nothing, tell of what is there")
    parser.add_argument("--envs", default=["control:cartpole:swingup", "control:reacher:easy"], nargs="+", help="tasks")
    parser.add_argument("--steps", default=20_000, type=int, help="with --learn: environment steps of each run")
    parser.add_argument("--seeds", default=3, type=int, help="with --learn: how many")
    parser.add_argument("--runs", default=pathlib.Path("runs/improvement_states"), type=pathlib.Path)
    options = parser.parse_args()
    if options.learn:
        _learn(options).finish(options.output)
        return
    times = {critic: _kept(options, f"times, {critic}", _times, critic, options) for critic in _CRITICS}
    shares = {name: [_kept(options, f"{name}, {n}", _bandit, name, n) for n in (3, 8)] for name in _CHOICES}
    noise = {critic: _kept(options, f"noise, {critic}", _noise, critic, options.minibatches) for critic in _CRITICS}
    report = common.Report(
        "Where the policy improves",
        ["", "evaluations", "states", *(f"{critic}, {x}" for critic in _CRITICS for x in ("operations", "time")),
        "blank3", "blank8"],
    )  # fmt: skip
    first, *_ = _CHOICES
    for name, (_, _, evaluations, states) in _CHOICES.items():
        ratios = []
        for critic in _CRITICS:
            ratios.append(_operations(name, critic) / _operations(first, critic))
            ratios.append(common.median_ratio(times[critic][name], times[critic][first]) if times[critic] else "-")
        report.row(name, evaluations, states, *ratios, *("-" if share is None else share for share in shares[name]))
    for critic in _CRITICS:
        if times[critic]:
            report.note(f"{critic}: {statistics.median(times[critic][first]):.3g} ms per update in the first row.")
        if noise[critic]:
            report.note(
                f"{critic}: noise of {', '.join(map(str, _BOOTSTRAP_ACTIONS))} bootstrap actions over the minibatch's: "
                f"{', '.join(f'{error:.2g}' for error in noise[critic])}."
            )
    if not all([*times.values(), *noise.values(), *(None not in share for share in shares.values())]):
        report.note("**Not all is measured yet.**")
    report.note(
        f"Times: medians over {options.repeats} interleaved rounds of about {options.seconds:g} s, of the ratio within "
        "the round."
    )
    report.finish(options.output)


def _kept(options: Any, name: str, measure: Callable[..., Any], *args: Any) -> Any:
    """What was measured under this name, or is now; with --report None if it was not."""
    file = options.runs / "measured" / (re.sub(r"\W+", "-", name) + ".json")
    if options.report and not file.exists():
        return None
    if not file.exists():
        result = measure(*args)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result))
    return json.loads(file.read_text())


def _operations(name: str, critic: str) -> float:
    """Floating-point operations of an update."""
    module, changes, _, _ = _CHOICES[name]
    agent = module.make(module.Config(critic=critic, **changes))
    core, replay = agent.learner(_HALF_CHEETAH), agent.replay(_HALF_CHEETAH)
    held = ring.Ring(chunks.step_spec(agent, _HALF_CHEETAH), dataclasses.replace(replay, max_size=100))
    key = jax.random.PRNGKey(0)
    batch, _ = jax.eval_shape(lambda state: ring.sample({REPLAY: state}, {}, key, replay), held.state)
    return jax.jit(core.update).lower(jax.eval_shape(core.init, key), batch).cost_analysis()["flops"]


def _times(critic: str, options: Any) -> dict[str, list[float]]:
    """Milliseconds per update of each choice, round by round."""
    contestants = {}
    for name, (module, changes, _, _) in _CHOICES.items():
        agent = module.make(module.Config(critic=critic, max_replay_size=10_000, **changes))
        core = agent.learner(_HALF_CHEETAH)
        held = filled_store(agent, _HALF_CHEETAH, 5_000)
        batch, _ = ring.sample({REPLAY: held.state}, {}, jax.random.PRNGKey(0), agent.replay(_HALF_CHEETAH))
        contestants[name] = measure_updates(core, make_bare_update(core), batch, options.seconds)
    return common.interleave(contestants, options.repeats)


def _random_experience(agent: Agent, environment: str, num_steps: int) -> tuple[ring.RingState, EnvironmentSpec]:
    """A store of the episodes of uniformly random actions."""
    env, rng, episodes = environments.make(environment, seed=0), np.random.default_rng(0), []
    spec = environments.spec(env)
    while sum(len(episode.action) for episode in episodes) < num_steps:
        steps, actions = [env.reset()], []
        while not steps[-1].last():
            actions.append(rng.uniform(-1, 1, spec.action.shape).astype(np.float32))
            steps.append(env.step(actions[-1]))
        observations = jax.tree.map(lambda *x: np.stack(x), *(step.observation for step in steps))
        rewards, discounts = (np.array([getattr(s, f) for s in steps[1:]], np.float32) for f in ("reward", "discount"))
        episodes.append(Trajectory(observations, np.stack(actions), rewards, discounts))
    return ring.from_trajectories(chunks.step_spec(agent, spec), episodes, agent.replay(spec).experience), spec


def _train(agent: Agent, held: ring.RingState, spec: EnvironmentSpec, num_updates: int) -> Any:
    """The training state after some updates."""
    core = agent.learner(spec)
    update, state = device_replay.make_update(core, agent.replay(spec)), jax.jit(core.init)(jax.random.PRNGKey(0))
    key = jax.random.PRNGKey(1)
    return update(state, {}, {REPLAY: held}, key, np.int32(0), np.int32(num_updates))[0]


def _bandit(name: str, length: int) -> float:
    """The deterministic policy's mean return over 500 episodes, as a share of the best, learnt from random actions."""
    module, changes, _, _ = _CHOICES[name]
    probe = f"probe:blank{length}"
    agent = module.make(module.Config(**_SMALL, **changes))
    held, spec = _random_experience(agent, probe, 8_000)
    state = _train(agent, held, spec, 1_500)
    actor, params = agent.actor(spec, ActorContext(evaluation=True)), agent.learner(spec).params(state)
    act = jax.jit(lambda observation: actor.select_action(params, observation, jax.random.PRNGKey(0))[0])
    env, rewards = environments.make(probe, seed=1), []
    for _ in range(500):
        timestep = env.reset()
        while not timestep.last():
            timestep = env.step(np.asarray(act(timestep.observation)))
            rewards.append(float(timestep.reward))
    return float(np.mean(rewards))


def _noise(critic: Any, num_minibatches: int) -> list[float]:
    """For each number of bootstrap actions the error of the critic's gradient, over the minibatch's noise."""
    config = mpo.Config(critic=critic, policy_layers=(64, 64), critic_layers=(64, 64))
    agent = mpo.make(config)
    held, spec = _random_experience(agent, "control:cartpole:swingup", 10_000)
    nets, replay, state = networks.make_networks(config, spec), agent.replay(spec), _train(agent, held, spec, 2_000)

    def gradient(batch_key: Any, key: Any, num_actions: int) -> Any:
        """[P], of the critic's loss on the minibatch that a key draws."""
        batch, _ = ring.sample({REPLAY: held}, {}, batch_key, replay)
        target = nets.policy.apply(state.policy.target, batch.next_observation)
        actions = distributions.sample(key, target, num_actions)
        next_value = jax.vmap(nets.critic.apply, (None, None, 0))(state.critic.target, batch.next_observation, actions)

        def loss(params: Any) -> Any:
            value = nets.critic.apply(params, batch.observation, batch.action)
            return jnp.mean(nets.value_head.loss(value, batch.reward, batch.discount, next_value))

        return jnp.concatenate([x.ravel() for x in jax.tree.leaves(jax.grad(loss)(state.critic.online))])

    keys = jax.random.split(jax.random.PRNGKey(2), num_minibatches)

    def gradients(num_actions: int, seed: int) -> Any:
        own = jax.random.split(jax.random.PRNGKey(seed), num_minibatches)
        return np.asarray(jax.lax.map(lambda pair: gradient(*pair, num_actions), (keys, own)), np.float64)

    exact = gradients(512, 3)
    minibatch = np.sqrt(np.sum(np.var(exact, axis=0, ddof=1)))
    errors = [gradients(number, 4) - exact for number in _BOOTSTRAP_ACTIONS]
    return [float(np.sqrt(np.mean(np.sum(error**2, axis=1))) / minibatch) for error in errors]


def _learn(options: Any) -> common.Report:
    """Trains before and after with every seed on every task, or reads what was trained."""
    report = common.Report(
        f"Evaluation return of MPO, where the policy improves, {options.steps:,} steps",
        ["task", "policy improves at", "mean", *(f"seed {seed}" for seed in range(options.seeds)), "mean, half way"],
    )
    variants = {"bootstrap state (before)": "improve_at", "where taken (after)": "mpo"}
    curves: dict[tuple[str, str], dict[int, np.ndarray]] = {}
    for seed in range(options.seeds):  # Seeds outermost: an interrupted benchmark has some of everything.
        for env in options.envs:
            for name, agent in variants.items():
                run_dir = options.runs / f"{env}-{options.steps}-{agent}-seed{seed}".replace(":", "-")
                if not options.report:
                    common.train(_experiment(agent, env, seed, options.steps), run_dir)
                if (run_dir / "finished").exists():
                    curve = np.asarray(loggers.read_csv(run_dir / "evaluator.csv")["episode_return"])
                    curves.setdefault((env, name), {})[seed] = curve
                    print(f"{env}, {name}, seed {seed}: {curve[-1]:.1f}", flush=True)
    missing = 0
    for env in options.envs:
        for name in variants:
            found = curves.get((env, name), {})
            missing += options.seeds - len(found)
            ends = [found[seed][-1] if seed in found else "-" for seed in range(options.seeds)]
            halves = [curve[(len(curve) - 1) // 2] for curve in found.values()]
            means = [float(np.mean(x)) if len(x) else "-" for x in ([e for e in ends if e != "-"], halves)]
            report.row(env, name, means[0], *ends, means[1])
    report.note("The last evaluation of each run, and the one half way: 5 episodes of the deterministic policy.")
    report.note(f"Categorical critic, networks of 128 and 128, batches of 128; {_PER_INSERT:g} samples per insert.")
    if missing:
        report.note(f"**{missing} runs are missing.**")
    return report


_PER_INSERT = 64.0


def _experiment(agent: str, env: str, seed: int, steps: int) -> Experiment:
    config = mpo.Config(
        critic="categorical",
        policy_layers=(128, 128),
        critic_layers=(128, 128),
        batch_size=128,
        samples_per_insert=_PER_INSERT,
        max_replay_size=100_000,
    )
    if agent == "improve_at":
        fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
        config = improve_at.Config(**fields, improve_at="bootstrap")
    return Experiment(
        agent, env, config=config, seed=seed, max_steps=steps, eval_every=max(1, steps // 4), eval_episodes=5
    )


if __name__ == "__main__":
    main()
