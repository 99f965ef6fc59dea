"""Agents by name, and bonuses, which go around an agent."""

import difflib
import importlib
import importlib.util
import inspect
from types import ModuleType

from acme_agents.core import errors

# A module offers `Config`, a frozen dataclass, and `make(config)`; the first line of its docstring is its description.
AGENTS = {
    name: f"acme_agents.agents.{name.replace('-', '_')}"
    for name in (
        "bc",
        "cca",
        "crr",
        "d4pg",
        "ddpg",
        "dime",
        "dqn",
        "fma-pg",
        "hca",
        "impala",
        "mpo",
        "pmpo",
        "ppo",
        "qsarsa",
        "r2d2",
        "r2d3",
        "sac",
        "td3",
        "vmpo",
    )
}

# A bonus's module offers `Config` and `make(config, base)`. It is no agent by itself, so it is not among them.
BONUSES = {
    name: f"acme_agents.exploration.{name.replace('-', '_')}"
    for name in ("byol-explore", "byol-hindsight", "gem", "rnd")
}

IMITATES = ("bc",)  # what learns nothing from rewards
BASES = tuple(name for name in AGENTS if name not in IMITATES)  # what a bonus can go around


def load(name: str) -> ModuleType:
    """Imports the module of an agent or of a bonus.

    Args:
      name: one of `AGENTS` or `BONUSES`, or the dotted name of any importable module that offers `Config` and `make`.

    Raises:
      UserError: there is no such agent, or the module offers no agent.
    """
    module_name = (AGENTS | BONUSES).get(name, name)
    try:
        found = importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):  # It exists, but its import does not.
            raise
        found = False
    except ValueError:
        found = False
    if not found:
        # A typing error is seldom in the first letter; `vmpo` is another agent than `mpo`.
        alike = [agent for agent in (*AGENTS, *BONUSES) if agent[0] == name[:1].lower()]
        close = difflib.get_close_matches(name.lower(), alike, n=1)
        hint = f"did you mean {close[0]!r}? There" if close else "there"
        raise errors.UserError(
            f"Unknown agent {name!r}: {hint} are {', '.join(AGENTS)}, and any module that offers one; and the bonuses "
            f"{', '.join(BONUSES)}, which go around an agent."
        )
    module = importlib.import_module(module_name)
    missing = [attribute for attribute in ("Config", "make") if not hasattr(module, attribute)]
    if missing:
        raise errors.UserError(f"The module {module_name!r} offers no agent: it has no {' and no '.join(missing)}.")
    return module


def is_bonus(name: str) -> bool:
    """Whether it goes around an agent: `make` takes a base.

    Raises:
      UserError: see `load`.
    """
    return "base" in inspect.signature(load(name).make).parameters


def check_base(name: str, base: str | None) -> None:
    """Checks that a bonus has an agent to go around, and an agent none.

    Args:
      name: of the agent or the bonus.
      base: what it is to go around; None for nothing.

    Raises:
      UserError: it does not fit.
    """
    if not is_bonus(name):
        if base is not None:
            raise errors.UserError(
                f"The agent {name} goes around no other: leave --base out, or train a bonus around it, such as "
                f"`{next(iter(BONUSES))} --base.agent {name}`."
            )
        return
    if base is None:
        raise errors.UserError(
            f"{name} is a bonus, which goes around an agent: name that with --base.agent, such as --base.agent dqn."
        )
    if is_bonus(base):
        raise errors.UserError(f"{name} goes around an agent, and {base} is a bonus too: give another --base.agent.")
    if base in IMITATES:
        raise errors.UserError(
            f"{base} learns nothing from rewards, so that the bonus {name} would change nothing: give another "
            "--base.agent."
        )
