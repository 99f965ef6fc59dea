"""Samples of the return: how many the mixture critic's loss needs, stratified or drawn independently.

The loss is an expectation over the bootstrapped return. Acme estimates it by M = 128 independent samples for each of
N = 20 actions; `values.mixture_loss` by few stratified samples of every component. Three tables:

1. The root-mean-square error of the estimated gradient, relative to the norm of the exact one, which is integrated
   numerically. `mixture`: with respect to the online mixtures' own parameters, each transition by itself. `network`:
   with respect to a small critic network's parameters, over a minibatch of 256. The last column divides the latter by
   the minibatch's own noise, how far the exact gradients of different minibatches lie apart: an error well below 1
   disappears in it. MPO is trained on cartpole steps of random actions; the errors are measured at its beginning, when
   every mixture is a spike, and at its end.
2. What that costs: milliseconds per update of MPO with 256x3 networks on HalfCheetah's sizes, interleaved.
3. With --learn: the returns of MPO trained in this process with 2 stratified samples and with Acme's 128
   independent ones: learning should be no worse. A run takes about a minute or two with 2, and 8 or more with 128.

    python benchmarks/return_samples.py --output benchmarks/results/return_samples.md
    python benchmarks/return_samples.py --learn --output benchmarks/results/return_samples_learn.md
"""

import functools
import pathlib
import statistics
from typing import Any

import common
import iid
import jax
import jax.numpy as jnp
import numpy as np
from learner import filled_store, make_bare_update, measure_updates

import environments
from acme_agents.core import distributions, values
from acme_agents.core.interfaces import REPLAY
from acme_agents.core.types import ArraySpec, EnvironmentSpec, Transition
from acme_agents.core.values import Mixture
from acme_agents.experiments import Experiment
from acme_agents.mpo import config as mpo_config
from acme_agents.mpo import learning, networks
from acme_agents.replay import chunks, store
from acme_agents.runtime import gathering

_ESTIMATORS = [("stratified", 1), ("stratified", 2), ("stratified", 4), ("stratified", 8)]
_ESTIMATORS += [("iid", 1), ("iid", 8), ("iid", 32), ("iid", 128)]
_LOSSES = {"stratified": values.mixture_loss, "iid": iid.loss}
_HALF_CHEETAH = EnvironmentSpec(ArraySpec((17,)), ArraySpec((6,)))


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--updates", default=2_000, type=int, help="before the trained critic's errors are measured")
    parser.add_argument("--minibatches", default=32, type=int, help="on which the errors are measured")
    parser.add_argument("--repeats", default=5, type=int, help="rounds of the timing")
    parser.add_argument("--learn", action="store_true", help="train, and compare returns, instead")
    parser.add_argument("--variants", default=["stratified:2", "iid:128"], nargs="+", help="with --learn: KIND:SAMPLES")
    parser.add_argument("--env", default="control:cartpole:swingup", help="with --learn: the task")
    parser.add_argument("--steps", default=20_000, type=int, help="with --learn: environment steps of each run")
    parser.add_argument("--seeds", default=3, type=int, help="with --learn: how many")
    parser.add_argument("--runs", default=pathlib.Path("runs/return_samples"), type=pathlib.Path, help="with --learn")
    options = parser.parse_args()
    if options.learn:
        _learn(options).finish(options.output)
        return
    report = common.Report(
        "Gradient of the mixture critic's loss, and what an update costs",
        ["samples", "M", *(f"{column}, {when}" for when in ("untrained", "trained") for column in
        ("mixture", "network", "network / noise")), "ms per update"],
    )  # fmt: skip
    errors = {"untrained": {}, "trained": {}}  # type: dict[str, dict[tuple[str, int], tuple[float, float, float]]]
    for when, num_updates in (("untrained", 0), ("trained", options.updates)):
        errors[when], noise = _errors(num_updates, options.minibatches)
        report.note(f"Noise of the minibatch, relative, {when}: {noise:.3g}.")
    times = _times(options.repeats)
    for estimator in _ESTIMATORS:
        report.row(*estimator, *errors["untrained"][estimator], *errors["trained"][estimator], times[estimator])
    report.note(
        f"Root-mean-square errors relative to the exact gradient's norm, over {options.minibatches} minibatches of "
        f"256; trained: {options.updates:,} updates. Times: medians of {options.repeats} interleaved rounds."
    )
    report.finish(options.output)


def _errors(num_updates: int, num_minibatches: int) -> tuple[dict[tuple[str, int], tuple[float, float, float]], float]:
    """For each estimator the two relative errors, and the second over the minibatch's noise; then that, relative."""
    config = mpo_config.Config(policy_layers=(64, 64), critic_layers=(64, 64))
    experiment = Experiment("mpo", "control:cartpole:swingup", config=config)
    held, spec = _random_experience(experiment)
    nets = networks.make_networks(config, spec)
    core, replay = learning.make_learner(config, nets, spec.action.shape[0]), experiment.make_agent().replay(spec)
    state = jax.jit(core.init)(jax.random.PRNGKey(0))
    if num_updates:
        update = gathering.make_update(core, replay)
        state, *_ = update(state, {}, {"replay": held.state}, jax.random.PRNGKey(1), np.int32(0), np.int32(num_updates))

    @jax.jit
    def draw(key: Any) -> tuple[Transition, Mixture]:
        """A minibatch, and the target's mixtures at its bootstrap states."""
        batch_key, action_key = jax.random.split(key)
        batch, _ = store.sample({REPLAY: held.state}, {}, batch_key, replay)
        policy = nets.policy(state.target_policy, batch.next_observation)
        actions = distributions.sample(action_key, policy, config.num_actions)
        return batch, jax.vmap(nets.critic, (None, None, 0))(state.target_critic, batch.next_observation, actions)

    def gradients(loss: Any) -> Any:
        """`(key, batch, value_t) -> ` gradients for each transition's mixture, [B, 3 C], and for the network, [P]."""

        def both(key: Any, batch: Transition, value_t: Mixture) -> tuple[Any, Any]:
            def by_mixture(value: Mixture) -> Any:
                return jnp.sum(loss(key, value, batch.reward, batch.discount, value_t))

            def by_network(critic: Any) -> Any:
                return by_mixture(nets.critic(critic, batch.observation, batch.action)) / config.batch_size

            value = nets.critic(state.critic, batch.observation, batch.action)
            network = jax.tree.leaves(jax.grad(by_network)(state.critic))
            return jnp.concatenate(jax.grad(by_mixture)(value), axis=-1), jnp.concatenate([x.ravel() for x in network])

        return jax.jit(both)

    exact = gradients(lambda key, *args: iid.exact_loss(*args))
    keys = [jax.random.fold_in(jax.random.PRNGKey(2), i) for i in range(num_minibatches)]
    drawn = [draw(key) for key in keys]
    truths = [jax.tree.map(np.asarray, exact(key, *args)) for key, args in zip(keys, drawn)]
    mean = np.mean([network for _, network in truths], axis=0)
    noise = _rms([network - mean for _, network in truths]) * (num_minibatches / (num_minibatches - 1)) ** 0.5

    results = {}
    for kind, num_samples in _ESTIMATORS:
        estimate = gradients(functools.partial(_LOSSES[kind], num_samples=num_samples))
        found = [jax.tree.map(np.asarray, estimate(key, *args)) for key, args in zip(keys, drawn)]
        mixture, network = (
            _rms([f[i] - t[i] for f, t in zip(found, truths)]) / _rms([t[i] for t in truths]) for i in (0, 1)
        )
        absolute = _rms([f[1] - t[1] for f, t in zip(found, truths)])
        results[kind, num_samples] = (mixture, network, absolute / noise)
    return results, noise / float(np.linalg.norm(mean))


def _rms(arrays: list[np.ndarray]) -> float:
    """The root of the mean over arrays of the squared norm."""
    return float(np.sqrt(np.mean([np.sum(np.square(array.astype(np.float64))) for array in arrays])))


def _random_experience(experiment: Experiment, num_steps: int = 5_000) -> tuple[store.Store, EnvironmentSpec]:
    """A store of an environment's steps under random actions."""
    environment = experiment.make_environment("actor")
    agent, spec = experiment.make_agent(), environments.spec(environment)
    replay, steps = agent.replay(spec), chunks.step_spec(agent, spec)
    held, rng, rows = store.Store(steps, replay), np.random.default_rng(0), chunks.layout(replay.experience).num_rows
    timestep = environment.reset()
    while held.size < num_steps:
        chunk, row = chunks.zeros(steps, rows), 0
        while row < rows and not timestep.last():
            action = rng.uniform(-1, 1, spec.action.shape)
            chunk.observation[row], chunk.action[row] = timestep.observation, action
            timestep = environment.step(action)
            chunk.reward[row], chunk.discount[row] = timestep.reward, timestep.discount
            row += 1
        if timestep.last():  # The few steps before it are left out, and nothing crosses it.
            timestep = environment.reset()
        else:
            held.insert([chunks.empty(steps)._replace(steps=chunk, num_steps=rows, num_starts=chunks.PERIOD)])
    return held, spec


def _times(repeats: int) -> dict[tuple[str, int], float]:
    """Milliseconds per update of MPO for each estimator."""
    config = mpo_config.Config(max_replay_size=10_000)
    agent = Experiment("mpo", "control:cheetah:run", config=config).make_agent()
    replay = agent.replay(_HALF_CHEETAH)
    held = filled_store(agent, _HALF_CHEETAH, 5_000)
    batch, _ = store.sample({REPLAY: held.state}, {}, jax.random.PRNGKey(0), replay)
    contestants = {}
    for kind, num_samples in _ESTIMATORS:
        variant = mpo_config.Config(num_return_samples=num_samples)
        agent = iid.make(variant) if kind == "iid" else Experiment("mpo", "probe:reach", config=variant).make_agent()
        core = agent.learner(_HALF_CHEETAH)
        contestants[f"{kind}:{num_samples}"] = measure_updates(core, make_bare_update(core), batch, seconds=0.5)
    results = common.interleave(contestants, repeats)
    return {estimator: statistics.median(results["{}:{}".format(*estimator)]) for estimator in _ESTIMATORS}


def _learn(options: Any) -> common.Report:
    """Trains every variant with every seed."""
    report = common.Report(
        f"Evaluation return after {options.steps:,} steps of {options.env}",
        ["samples", "M", "mean", *(f"seed {seed}" for seed in range(options.seeds))],
    )
    returns: dict[str, list[float]] = {variant: [] for variant in options.variants}
    for seed in range(options.seeds):
        for variant in options.variants:
            kind, _, num_samples = variant.partition(":")
            experiment = Experiment(
                agent={"stratified": "mpo", "iid": "iid"}[kind],
                environment=options.env,
                config=mpo_config.Config(num_return_samples=int(num_samples)),
                seed=seed,
                max_steps=options.steps,
                eval_every=max(1, options.steps // 10),
            )
            run_dir = options.runs / f"{options.env}-{options.steps}-{kind}-{num_samples}-seed{seed}".replace(":", "-")
            returns[variant].append(float(common.train(experiment, run_dir)["episode_return"][-1]))
            print(f"{variant}, seed {seed}: {returns[variant][-1]:.1f}", flush=True)
    for variant in options.variants:
        kind, _, num_samples = variant.partition(":")
        report.row(kind, int(num_samples), float(np.mean(returns[variant])), *returns[variant])
    report.note("The last evaluation of each run, 10 episodes of the deterministic policy.")
    return report


if __name__ == "__main__":
    main()
