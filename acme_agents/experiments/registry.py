"""Agents by name."""

import difflib
import importlib
import importlib.util
from types import ModuleType

from acme_agents.core import errors

# A module offers `Config`, a frozen dataclass, and `make(config)`; the first line of its docstring is its description.
AGENTS = {
    name: f"acme_agents.agents.{name}"
    for name in (
        "bc",
        "crr",
        "d4pg",
        "ddpg",
        "dime",
        "dqn",
        "impala",
        "mpo",
        "ppo",
        "r2d2",
        "r2d3",
        "sac",
        "td3",
        "vmpo",
    )
}


def load(name: str) -> ModuleType:
    """Imports an agent's module.

    Args:
      name: one of `AGENTS`, or the dotted name of any importable module that offers `Config` and `make`.

    Raises:
      UserError: there is no such agent, or the module offers no agent.
    """
    module_name = AGENTS.get(name, name)
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
        alike = [agent for agent in AGENTS if agent[0] == name[:1].lower()]
        close = difflib.get_close_matches(name.lower(), alike, n=1)
        hint = f"did you mean {close[0]!r}? There" if close else "there"
        raise errors.UserError(
            f"Unknown agent {name!r}: {hint} are {', '.join(AGENTS)}, and any module that offers one."
        )
    module = importlib.import_module(module_name)
    missing = [attribute for attribute in ("Config", "make") if not hasattr(module, attribute)]
    if missing:
        raise errors.UserError(f"The module {module_name!r} offers no agent: it has no {' and no '.join(missing)}.")
    return module
