"""What does a baseline that knows the future do to a policy gradient: to its variance, its bias, and what is learned?

On `feedback-bandit:NOISE` (Mesnard et al. 2021): the reward is -(c - a)^2 and noise, which the feedback tells. Compared
are the agent `cca` with its baseline, with its critic of all actions, and with the baseline but without the
independence loss; and `pg`, the agent impala, which in one process is the plain policy gradient with a baseline V(x).
All have the same networks, batches and learning rate of the policy.

    python benchmarks/cca.py --output benchmarks/results/cca.md

First, with the policy held as it is at first, nearly uniform: hindsight alone is trained, and then the gradient of one
episode in the logits of the policy's table, [21, 21], has its mean and its variance taken over all contexts, all
actions and the noise at 16 equally likely quantiles. It is the agent's own loss, and no sample is drawn. `variance` is
in units of that of the plain gradient with the exact V(x). `bias` is the distance of the mean from the exact gradient,
over its length, and `share` the part of the exact gradient that is in the mean, 1 where it is unbiased. `told` is what
the statistic tells of the action by the classifier's account, in nats: of at most 3.04, but without the independence
loss, where some actions seem impossible to it.

Reading it: with the independence loss the variance should fall the further the larger the noise, at a bias near 0.
Without it the statistic tells the action, the baseline becomes the return itself, and the bias 1.

Second, what the policy learns: its mean return after all updates, exactly. At most 0, and -73.3 of a uniform policy.

    python benchmarks/cca.py --task key-to-door --output benchmarks/results/cca_key_to_door.md

is the same comparison on `key-to-door:SPREAD`: in what share of the last episodes the door was opened, and their return
without the apples' luck, which is 10 at most. A method's figures are kept under --runs; what is there is not repeated.
"""

import argparse
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np

from acme_agents.agents import cca, impala
from acme_agents.agents.cca import learning, networks
from acme_agents.agents.vmpo import acting
from acme_agents.agents.vmpo import networks as policies
from acme_agents.core import normalising, running
from acme_agents.core.interfaces import ActorContext, ActorCore
from acme_agents.core.types import Array, Key, Step, Unroll
from acme_agents.environments import feedback_bandit, key_to_door
from acme_agents.environments.pure import Pure

_POLICY = {"torso_layers": (64,), "entropy_weight": 0.01, "value_weight": 1.0, "discount": 1.0}
_HINDSIGHT = {"hindsight_layers": (32,), "hindsight_size": 16, "critic_layers": (32,), "classifier_layers": (32,)}
_METHODS: dict[str, dict[str, Any] | None] = {  # what differs; None is the plain policy gradient
    "pg": None,
    "cca": {},
    "cca, critic": {"estimator": "critic"},
    "cca, no independence": {"independence_weight": 0.0},
}


class _Task(NamedTuple):
    """A task, and what is run on it unless the command line says otherwise."""

    make: Callable[[Any], Pure]  # of its number
    length: int  # of an episode, in steps
    learning_rate: float  # of the policy
    numbers: tuple[float, ...]
    methods: tuple[str, ...]
    seeds: int
    batch_size: int
    updates: int


_TASKS = {
    "bandit": _Task(feedback_bandit.bandit, 1, 1e-3, (10.0, 100.0, 1000.0), tuple(_METHODS), 3, 64, 2_000),
    "key-to-door": _Task(key_to_door.rooms, 32, 3e-3, (0.0, 10.0), ("pg", "cca"), 2, 16, 1_000),
}
_QUANTILES = 16
_LOOKS = 20  # at what was learned


def make(method: str, length: int, batch_size: int, *, learning_rate: float) -> Any:
    """The agent of a method; an unroll is an episode."""
    options = _POLICY | {"unroll_length": length + 1, "batch_size": batch_size, "learning_rate": learning_rate}
    hindsight = _METHODS[method]
    if hindsight is None:
        return impala.make(impala.Config(**options))
    return cca.make(cca.Config(**options | _HINDSIGHT | hindsight))


def play(environment: Pure, actor: ActorCore, params: Any, key: Key, *, length: int, batch_size: int) -> Unroll:
    """Episodes of `length` steps, an unroll each, and a row behind it: [batch_size, length + 2, ...]."""

    def episode(key: Key) -> Step:
        begin_key, actor_key = jax.random.split(key)

        def step(carry: Any, _: None) -> Any:
            state, observation, memory = carry
            action, memory, extras = actor.select_action(params, observation, memory)
            state, timestep = environment.step(state, action)
            row = Step(observation, action, timestep.reward, timestep.discount, jnp.bool_(False), extras)
            return (state, timestep.observation, actor.observe(memory, timestep.reward)), row

        carry = (*environment.init(begin_key), actor.init(actor_key))
        (_, observation, _), rows = jax.lax.scan(step, carry, None, length=length)
        end = jax.tree.map(lambda x: jnp.zeros_like(x[0]), rows)._replace(observation=observation, last=jnp.bool_(True))
        return jax.tree.map(lambda x, y: jnp.concatenate([x, y[None], y[None]]), rows, end)

    return Unroll(jax.vmap(episode)(jax.random.split(key, batch_size)), jnp.zeros(batch_size, jnp.int32))


def mean_return(agent: Any, params: policies.ActorParams) -> Array:
    """The policy's on the bandit, []."""
    spec = feedback_bandit.bandit(0.0).spec
    nets = policies.make_networks(agent.config, spec)
    contexts = jnp.eye(feedback_bandit.NUM_ACTIONS, spec.observation.shape[0])
    seen = normalising.normalise(contexts, params.scale)[:, None]
    outputs, _ = nets.unroll(params.network, seen, jnp.zeros(seen.shape[:2], bool), nets.no_memory)
    pi = jax.nn.softmax(outputs.law[:, 0])
    return jnp.sum(pi * feedback_bandit.mean_rewards()) / len(contexts)


def gradients(agent: Any, state: learning.TrainingState, noise: Array) -> dict[str, Array]:
    """One episode's gradient on the bandit, its mean and its variance by enumeration; see this module's docstring."""
    config, environment = agent.config, feedback_bandit.bandit(noise)
    spec, number = environment.spec, feedback_bandit.NUM_ACTIONS
    grid = jnp.meshgrid(jnp.arange(number), jnp.arange(number), jnp.arange(_QUANTILES), indexing="ij")
    context, action, quantile = (x.ravel() for x in grid)  # [M]
    luck = noise * jax.scipy.special.ndtri((quantile + 0.5) / _QUANTILES)
    _, timestep = jax.vmap(environment.step)(feedback_bandit.State(context, luck), action)
    first = jnp.eye(number, spec.observation.shape[0])[context]
    rows = jnp.stack([first, timestep.observation, timestep.observation], axis=1)  # [M, 3, 41]
    last = jnp.broadcast_to(jnp.array([False, True, True]), rows.shape[:2])
    zeros, actions = jnp.zeros(rows.shape[:2]), jnp.stack([action] * 3, axis=1)
    batch = Unroll(Step(rows, actions, zeros, zeros, last, acting.Taken(zeros, (), (), ())), jnp.zeros(len(rows)))
    scale = running.stddev(state.returns)
    reward = jnp.stack([timestep.reward / scale, jnp.zeros_like(timestep.reward)], axis=1)
    seen = normalising.normalise(rows, normalising.scale_of(state.observations, spec))
    policy, nets = policies.make_networks(config, spec), networks.make_networks(config, spec)
    looked = learning.look(config, policy, nets, state.params, seen, reward, batch)

    pi = jax.nn.softmax(looked.logits[:, 0])  # [M, 21]
    weight = jnp.take_along_axis(pi, action[:, None], axis=1)[:, 0] / (
        number * _QUANTILES
    )  # of each row; their sum is 1
    table, means = pi.reshape(number, -1, number)[:, 0], jnp.asarray(feedback_bandit.mean_rewards())  # [21, 21]
    value = jnp.sum(table * means, axis=1)
    exact = table * (means - value[:, None]) / number

    def losses(looked: learning.Looked, estimator: str) -> dict[str, Array]:
        return learning.losses_of(looked, actions[:, :-1], ~last[:, :-1], estimator=estimator)

    def moments(looked: learning.Looked, estimator: str) -> tuple[Array, Array]:
        gradient = jax.grad(lambda logits: losses(looked._replace(logits=logits), estimator)["policy_loss"])
        each = -scale * len(rows) * gradient(looked.logits)[:, 0]  # [M, 21], for the episode's context
        mean = jax.ops.segment_sum(weight[:, None] * each, context, number)
        return mean, jnp.sum(weight * jnp.sum(jnp.square(each), axis=1)) - jnp.sum(jnp.square(mean))

    known = jnp.broadcast_to((value[context] / scale)[:, None, None], (*looked.value.shape, 1))
    plain_mean, plain_variance = moments(looked._replace(estimates=known), "baseline")
    mean, variance = moments(looked, config.estimator)
    log_pi, log_h = (jax.nn.log_softmax(x[:, 0]) for x in (looked.logits, looked.seen_through))
    return {
        "variance": variance / plain_variance,
        "plain_bias": jnp.linalg.norm(plain_mean - exact) / jnp.linalg.norm(exact),
        "bias": jnp.linalg.norm(mean - exact) / jnp.linalg.norm(exact),
        "share": jnp.sum(mean * exact) / jnp.sum(jnp.square(exact)),
        "told": jnp.sum(weight * jnp.sum(jnp.exp(log_pi) * (log_pi - log_h), axis=1)),
    }


def train(method: str, task: str, number: Array, key: Key, options: argparse.Namespace, *, fixed: bool) -> Any:
    """Trains an agent in one compiled program, whose noise or spread may be traced.

    Returns:
      Figures [looks], or [] where the policy is held fixed.
    """
    length = _TASKS[task].length
    environment = _TASKS[task].make(number)
    learning_rate = 0.0 if fixed else _TASKS[task].learning_rate
    agent = make(method, length, options.batch_size, learning_rate=learning_rate)
    learner = agent.learner(environment.spec)
    actor = agent.actor(environment.spec, ActorContext(evaluation=False))

    def update(state: Any, key: Key) -> Any:
        params = learner.params(state)
        batch = play(environment, actor, params, key, length=length, batch_size=options.batch_size)
        state, _ = learner.update(state, batch)
        if task == "bandit":
            return state, {}
        reward = batch.steps.reward[:, key_to_door.ENDS[1] : length]
        apples = jnp.sum(batch.steps.reward[:, : key_to_door.ENDS[1]] != 0, axis=1)
        opened = jnp.any(reward > 0, axis=1)
        found = {"door": jnp.mean(opened), "return": jnp.mean(key_to_door.DOOR * opened + key_to_door.APPLE * apples)}
        return state, found

    init_key, key = jax.random.split(key)
    state = learner.init(init_key)
    if fixed:
        state, _ = jax.lax.scan(update, state, jax.random.split(key, options.fixed_updates))
        return gradients(agent, state, number)

    def block(state: Any, key: Key) -> Any:
        state, found = jax.lax.scan(update, state, jax.random.split(key, options.updates // _LOOKS))
        if task == "bandit":
            return state, {"return": mean_return(agent, learner.params(state))}
        return state, jax.tree.map(jnp.mean, found)

    return jax.lax.scan(block, state, jax.random.split(key, _LOOKS))[1]


def figures(method: str, task: str, options: argparse.Namespace, *, fixed: bool) -> dict[str, np.ndarray]:
    """The figures of all noises and seeds, [N, S, ...]; from the file of an earlier run if there is one."""
    updates = options.fixed_updates if fixed else options.updates
    numbers = "-".join(f"{number:g}" for number in options.numbers)
    kind = "fixed" if fixed else "learns"
    path = (
        options.runs
        / f"{task}-{kind}-{method.replace(', ', '-').replace(' ', '-')}-{numbers}-{options.seeds}-{updates}.npz"
    )
    if not path.exists():
        keys = jax.random.split(jax.random.PRNGKey(0), options.seeds)
        of_seeds = jax.vmap(lambda n, key: train(method, task, n, key, options, fixed=fixed), (None, 0))
        found = jax.device_get(jax.jit(jax.vmap(of_seeds, (0, None)))(jnp.float32(options.numbers), keys))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **found)
    return dict(np.load(path))


def main() -> None:
    """Runs the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--task", default="bandit", choices=list(_TASKS))
    parser.add_argument("--numbers", type=float, nargs="+", help="standard deviations: of the noise, or of an apple")
    parser.add_argument("--methods", nargs="+", choices=list(_METHODS), help="which")
    parser.add_argument("--seeds", type=int, help="how many")
    parser.add_argument("--batch-size", type=int, help="episodes of an update")
    parser.add_argument("--updates", type=int, help="where the policy learns")
    parser.add_argument("--fixed-updates", default=1_500, type=int, help="where it does not")
    parser.add_argument("--runs", default=pathlib.Path("runs/cca"), type=pathlib.Path, help="where figures are kept")
    options = parser.parse_args()
    for name in ("numbers", "methods", "seeds", "batch_size", "updates"):
        setattr(options, name, getattr(options, name) or getattr(_TASKS[options.task], name))
    if options.task == "bandit":
        _bandit(options)
    else:
        _key_to_door(options)


def _bandit(options: argparse.Namespace) -> None:
    fixed = {m: figures(m, "bandit", options, fixed=True) for m in options.methods if _METHODS[m] is not None}
    learned = {method: figures(method, "bandit", options, fixed=False) for method in options.methods}
    report = common.Report(
        "A policy gradient that knows the future: feedback-bandit:NOISE",
        ["noise", "method", "variance", "bias", "share", "told", "return learned"],
    )
    for i, noise in enumerate(options.numbers):
        for method in options.methods:
            names = ("variance", "bias", "share", "told")
            cells = [_cell(fixed[method][name][i]) for name in names] if method in fixed else ["1", "0", "1", "0"]
            report.row(f"{noise:g}", method, *cells, _cell(learned[method]["return"][i, :, -1]))
    worst = max(float(found["plain_bias"].max()) for found in fixed.values())
    report.note(
        f"Mean of {options.seeds} seeds, and each of them. Gradients at the first policy after "
        f"{options.fixed_updates:,} updates of hindsight; returns after {options.updates:,} updates; "
        f"{options.batch_size} episodes an update. The same enumeration of the plain gradient with the "
        f"exact V(x) finds a bias of at most {worst:.1g}."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _draw_bandit(fixed, learned, options, figure)
        report.note(f"![Variance, bias and returns]({figure.name})")
    report.finish(options.output)


def _key_to_door(options: argparse.Namespace) -> None:
    learned = {method: figures(method, "key-to-door", options, fixed=False) for method in options.methods}
    report = common.Report(
        "Policy gradients on key-to-door:SPREAD", ["spread", "method", "door opened", "return without the apples' luck"]
    )
    for i, spread in enumerate(options.numbers):
        for method in options.methods:
            cells = (_cell(learned[method][name][i, :, -1]) for name in ("door", "return"))
            report.row(f"{spread:g}", method, *cells)
    report.note(
        f"Mean of {options.seeds} seeds, and each of them, over the last "
        f"{options.updates // _LOOKS} of {options.updates:,} updates of {options.batch_size} episodes each, by the "
        "policy that explores."
    )
    if options.output is not None:
        figure = options.output.with_suffix(".png")
        figure.parent.mkdir(parents=True, exist_ok=True)
        _draw_curves(learned, "door", "door opened", options, figure)
        report.note(f"![Episodes in which the door was opened]({figure.name})")
    report.finish(options.output)


def _cell(values: np.ndarray) -> str:
    return f"{np.mean(values):.3g} ({', '.join(f'{value:.2g}' for value in values)})"


def _curves(axes: Any, learned: dict[str, Any], name: str, i: int, options: argparse.Namespace) -> None:
    """A line for each method, the mean over seeds, and a thin one for each seed."""
    x = np.linspace(0, options.updates, _LOOKS + 1)[1:] * options.batch_size / 1000
    for color, (method, found) in enumerate(learned.items()):
        axes.plot(x, found[name][i].T, color=f"C{color}", linewidth=0.5, alpha=0.5)
        axes.plot(x, found[name][i].mean(0), color=f"C{color}", linewidth=1.8, label=method)
    axes.set_xlabel("thousand episodes")


def _draw_bandit(
    fixed: dict[str, Any], learned: dict[str, Any], options: argparse.Namespace, path: pathlib.Path
) -> None:
    """Above the gradient's variance and bias over the noise, below what is learned at each noise."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = len(options.numbers)
    figure = pyplot.figure(figsize=(4 * columns, 7))
    above, below = figure.subfigures(2, 1)
    for axes, name, title in zip(
        above.subplots(1, 2),
        ("variance", "bias"),
        ("variance of the gradient / plain", "bias of the gradient / its length"),
    ):
        for method, found in fixed.items():
            color = f"C{list(learned).index(method)}"
            axes.plot(options.numbers, found[name].mean(1), marker="o", color=color, label=method)
        axes.axhline(1.0 if name == "variance" else 0.0, color="C0", linestyle="--", label="pg")
        axes.set(xscale="log", xlabel="noise", title=title)
        if name == "variance":
            axes.set_yscale("log")
        axes.legend(fontsize=8)
    for i, axes in enumerate(below.subplots(1, columns, squeeze=False)[0]):
        _curves(axes, learned, "return", i, options)
        axes.set(
            title=f"noise {options.numbers[i]:g}", ylabel="" if i else "mean return", yscale="symlog", ylim=(-110, 0)
        )
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def _draw_curves(
    learned: dict[str, Any], name: str, title: str, options: argparse.Namespace, path: pathlib.Path
) -> None:
    """A panel for each spread."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(options.numbers), figsize=(4.5 * len(options.numbers), 3.6), squeeze=False)
    for i, axes in enumerate(panels[0]):
        _curves(axes, learned, name, i, options)
        axes.set(title=f"spread {options.numbers[i]:g}", ylabel=title, ylim=(-0.02, 1.02))
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
