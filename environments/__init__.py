"""dm_env environments by name.

`control:DOMAIN:TASK`  every task of the dm_control suite: `control:cheetah:run`
`gym:ID`               every registered Gymnasium environment: `gym:Pendulum-v1`; `gym:MODULE:ID` imports MODULE first,
                       so that it can register the ID: `gym:my_env:Mine-v0`; those of MiniGrid, BabyAI and ALE need
                       none: `gym:MiniGrid-DoorKey-8x8-v0`
`ale:GAME`             Atari games with sticky actions and four grey pictures of 84 x 84: `ale:MontezumaRevenge`
`deep-sea:N`           bsuite's deep sea of N x N cells, which only deep exploration solves: `deep-sea:20`;
                       `deep-sea:N:stochastic` is its stochastic variant
`key-door:N`           the project's own task of exploration and memory, on N x N cells: `key-door:8`
`jax:NAME`             the project's own tasks in pure JAX, which `--launcher fused` needs: `jax:cartpole` and
                       `jax:pendulum`, as Gymnasium has them, `jax:sparse-mountain-car`, with the goal's reward alone,
                       and `jax:grid-N`
`trackers:NOISE`       four rooms with trackers behind oscillating blocks, and four kinds of noise: `trackers:brownian`
`noisy-tv:SCREEN`      a chain with a television at its end: `noisy-tv:symbols`, `noisy-tv:pixels`
`maze:NAME`            continuous mazes without reward: `maze:four-rooms` and `maze:u`; these three are pure JAX too
`hindsight:NAME`       small tasks of credit assignment, in pure JAX too: `hindsight:shortcut-5`,
                       `hindsight:delayed-effect-3-noise-2`, `hindsight:ambiguous-bandit`
`feedback-bandit:NOISE`
                       a contextual bandit with noisy rewards, and a feedback that tells the noise: `feedback-bandit:10`
`key-to-door:SPREAD`   a key that pays much later, and apples that pay in between, the more at random the larger the
                       spread: `key-to-door:5`; these two are pure JAX too
`credit:NAME`          one task of credit assignment with a knob for each way to make it hard, in pure JAX too:
                       `credit:depth-16`, `credit:sparsity-4`, `credit:breadth-16`, `credit:noise-2`
`gymnax:ID`            the environments of gymnax, in pure JAX too: `gymnax:CartPole-v1`
`brax:NAME`            those of Brax, in pure JAX too: `brax:halfcheetah`
`probe:NAME`           the project's own tiny tasks with known values: `probe:reach`
`scaled:FACTOR:NAME`   any of these with its rewards times FACTOR, to stress an agent: `scaled:100:probe:reach`; with
                       factor 0 there is no reward
`repeat:N:NAME`        any of these, with each action repeated N times: `repeat:4:control:walker:walk`
`persistive:NAME`      any of these that shows one picture and has discrete actions, with noise that lasts on it:
                       `persistive:ale:MontezumaRevenge`
`delayed:MILLISECONDS:NAME`
                       any of these whose steps take at least that long, like a slow one: `delayed:5:probe:reach`
`energy:NAME`          any of these that has continuous actions and one reward, with the energy that actions cost as a
                       second objective: `energy:control:walker:walk`

Whatever the source, an environment made here is canonical: continuous actions lie in [-1, 1] float32, discrete ones are
int32 from 0; rewards and discounts are float32; observations are float32 arrays, or [H, W, C] uint8 where they are
pictures, or dicts of these. A discount of 0 says that the episode ended for good, a last step with discount 1 that it
was cut short.

Importing this package imports neither dm_control nor Gymnasium, and making an environment imports only what it needs.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dm_env
import numpy as np

from acme_agents.core import errors, packages
from acme_agents.environments import naming
from acme_agents.environments.batched import BatchedEnvironment

if TYPE_CHECKING:
    from acme_agents.core import types
    from acme_agents.environments import pure

# Their names are known.
_LISTED = ("control", "ale", "jax", "trackers", "noisy-tv", "maze", "hindsight", "credit", "gymnax", "brax", "probe")
# These have one for each size, for each deviation of their rewards, or for each environment.
_OPEN = ("deep-sea", "key-door", "feedback-bandit", "key-to-door", *naming.WRAPPERS)
_SOURCES = ("gym", *_LISTED, *_OPEN)
_MODULES = {  # Where a module is named otherwise.
    "probe": "probes",
    "deep-sea": "deep_sea",
    "key-door": "key_door",
    "jax": "classic",
    "noisy-tv": "noisy_tv",
    "maze": "mazes",
    "feedback-bandit": "feedback_bandit",
    "key-to-door": "key_to_door",
}
_PURE = (  # Those in pure JAX.
    "jax:NAME",
    "trackers:NOISE",
    "noisy-tv:SCREEN",
    "maze:NAME",
    "hindsight:NAME",
    "feedback-bandit:NOISE",
    "key-to-door:SPREAD",
    "credit:NAME",
    "gymnax:ID",
    "brax:NAME",
)
_FORMS = (
    "control:DOMAIN:TASK, gym:ID, ale:GAME, deep-sea:N, key-door:N, jax:NAME, trackers:NOISE, noisy-tv:SCREEN, "
    "maze:NAME, hindsight:NAME, feedback-bandit:NOISE, key-to-door:SPREAD, credit:NAME, gymnax:ID, brax:NAME, "
    "probe:NAME, scaled:FACTOR:NAME, repeat:N:NAME, delayed:MILLISECONDS:NAME, persistive:NAME or energy:NAME"
)


def make(name: str, seed: int, *, render: bool = False, max_episode_steps: int | None = None) -> dm_env.Environment:
    """Makes the environment of a name.

    Args:
      name: one of the forms above.
      seed: of everything random in the environment, 0 <= seed < 2^32; equal seeds and actions give equal episodes.
      render: whether `render_frame` will be called. MuJoCo then loads a GL library, and otherwise none.
      max_episode_steps: cuts longer episodes short, with discount 1; None for no limit but the environment's own.

    Returns:
      A canonical environment. Its `reseed(seed)` makes the episodes from the next reset on those of a new environment
      with that seed. The caller closes it.

    Raises:
      UserError: there is no such environment, its observations or actions cannot be made canonical, or it is not one
        that the wrapper before its name can wrap.
      EnvironmentFault: the module that registers it, or its constructor, raised.
    """
    check(name)
    source, _, rest = name.partition(":")
    module = _module(source)
    if hasattr(module, "make"):
        environment = module.make(rest, seed, render=render)
    else:  # It is pure JAX, and has no picture.
        from acme_agents.environments import pure  # Here, because it imports jax.

        environment = pure.PureEnvironment(module.make_pure(rest), seed)
    if max_episode_steps is None:
        return environment
    from acme_agents.environments import limited  # Here, because it imports this module.

    return limited.Limited(environment, max_episode_steps)


def make_batch(name: str, seeds: Sequence[int], *, max_episode_steps: int | None = None) -> BatchedEnvironment | None:
    """Makes N environments of a name that step as one, if their family offers that; None if it does not.

    Args:
      name: one of the forms above.
      seeds: one for each environment, which is then that of `make` with this seed.
      max_episode_steps: as in `make`.

    Raises:
      UserError: there is no such environment.
    """
    check(name)
    functions = find_pure(name)
    if functions is not None:
        from acme_agents.environments import pure  # Here, because it imports jax.

        return pure.PureEnvironments(_cut(functions, max_episode_steps), seeds)
    source, _, rest = name.partition(":")
    make_natively = getattr(_module(source), "make_batch", None)
    return None if make_natively is None else make_natively(rest, seeds, max_episode_steps=max_episode_steps)


def make_pure(name: str, *, max_episode_steps: int | None = None) -> pure.Pure:
    """Makes the pure functions of an environment that is pure JAX; the arguments are those of `make`.

    Raises:
      UserError: there is no such environment, or it is not pure JAX.
    """
    check(name)
    functions = find_pure(name)
    if functions is None:
        raise errors.UserError(
            f"{name} is not written in JAX, and so cannot be compiled together with the agent: choose one of "
            f"{', '.join(_PURE)}, or another --launcher."
        )
    return _cut(functions, max_episode_steps)


def find_pure(name: str) -> pure.Pure | None:
    """Returns the pure functions of a name that `check` knows, with its own limit of steps; None if it is not pure JAX.

    Raises:
      UserError: it is not one that the wrapper before its name can wrap.
    """
    source, _, rest = name.partition(":")
    make_functions = getattr(_module(source), "make_pure", None)
    return None if make_functions is None else make_functions(rest)


def _cut(functions: pure.Pure, max_steps: int | None) -> pure.Pure:
    from acme_agents.environments import pure  # Here, because it imports jax.

    return functions if max_steps is None else pure.limited(functions, max_steps)


def has_time_limit(env: dm_env.Environment) -> bool:
    """Whether an environment declares a limit on the steps of an episode; all but some of Gymnasium's do."""
    return getattr(env, "has_time_limit", True)


def notes(env: dm_env.Environment) -> list[str]:
    """Returns what a user should know of how an environment is interpreted, a sentence each."""
    limit = (
        []
        if has_time_limit(env)
        else ["no time limit is declared, so an episode might never end: --max-episode-steps sets one"]
    )
    return [*getattr(env, "notes", ()), *limit]


def check(name: str) -> None:
    """Checks that `make` knows the name.

    Raises:
      UserError: it does not; the message is one sentence, with the closest known names.
    """
    source, _, rest = name.partition(":")
    problem = _module(source).problem(rest) if source in _SOURCES else _unknown_source(name)
    if problem:
        raise errors.UserError(f"Unknown environment {name!r}: {problem}")


def names() -> list[str]:
    """Returns every name of the sources that list theirs, as far as their packages are installed.

    Those of Gymnasium are `gym:` and any of its ids; of `deep-sea:` and `key-door:` there is one for each size,
    and of `feedback-bandit:` and `key-to-door:` one for each deviation of their rewards.
    """
    found = []
    for source in _LISTED:
        try:
            found += [f"{source}:{rest}" for rest in _module(source).names()]
        except ModuleNotFoundError as error:
            if not packages.advice(error):
                raise
    return found


def spec(env: dm_env.Environment) -> types.EnvironmentSpec:
    """Returns what an agent must know of a canonical environment.

    An environment that maps actions from [-1, 1], or from 0, to its own has their bounds in `action_bounds`.

    Raises:
      UserError: if the actions are continuous and their bounds are not [-1, 1].
    """
    from acme_agents.core import types  # Here, because it imports jax.

    def array_spec(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: array_spec(item) for key, item in value.items()}
        num_values = getattr(value, "num_values", None)
        return types.ArraySpec(tuple(value.shape), np.dtype(value.dtype).name, num_values)

    action = env.action_spec()
    if not isinstance(action, dm_env.specs.DiscreteArray):
        low, high = getattr(action, "minimum", -np.inf), getattr(action, "maximum", np.inf)
        if not (np.all(low == -1) and np.all(high == 1)):
            raise errors.UserError(f"Continuous actions must lie in [-1, 1], and this environment's spec is {action}.")
    return types.EnvironmentSpec(
        observation=array_spec(env.observation_spec()),
        action=array_spec(action),
        reward=array_spec(env.reward_spec()),
        action_bounds=getattr(env, "action_bounds", None),
    )


def canonical_observation(env: dm_env.Environment, observation: Any) -> Any:
    """Returns the canonical form of an observation as the environment behind `env` itself gives it.

    Raises:
      EnvironmentFault: it is not one of Gymnasium's space.
    """
    convert = getattr(env, "canonical_observation", None)
    return observation if convert is None else convert(observation)


def native_action(env: dm_env.Environment, action: Any) -> Any:
    """Returns a canonical action in the units of the environment behind `env`; raises UserError for an invalid one."""
    convert = getattr(env, "native_action", None)
    return action if convert is None else convert(action)


def render_frame(env: dm_env.Environment) -> np.ndarray:
    """Returns a picture of the environment as it is now, [H, W, 3] uint8.

    Raises:
      UserError: if there is no GL library, the environment was made without `render=True`, or has no picture.
    """
    render = getattr(env, "render", None)
    if render is None:
        raise errors.UserError(f"{type(env).__name__} has no picture to render: leave --video out.")
    return render()


def frames_per_second(env: dm_env.Environment) -> float | None:
    """Returns how many steps an environment takes in a second of its own time; None if it has no time."""
    return getattr(env, "frames_per_second", None)


def _module(source: str) -> Any:
    return importlib.import_module("acme_agents.environments." + _MODULES.get(source, source))


def _unknown_source(name: str) -> str:
    """Returns what is wrong with a name of no known source; most often the source is misspelt or forgotten."""
    source, _, rest = name.partition(":")
    known = names() + [f"gym:{environment_id}" for environment_id in _module("gym").names()]
    without_source = {full.partition(":")[2]: full for full in known}
    open_ended = difflib.get_close_matches(source, _OPEN, cutoff=0.7) if rest else []
    close = [f"{source}:{rest}" for source in open_ended] or difflib.get_close_matches(name, known)
    close = close or [without_source[bare] for bare in difflib.get_close_matches(name, without_source)]
    hint = f", did you mean {' or '.join(close)}?" if close else "."
    return f"a name is {_FORMS}{hint}"
