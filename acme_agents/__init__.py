"""acme_agents: distributed reinforcement learning in JAX, in the tradition of Acme."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acme_agents.runtime.policy import load_policy

__all__ = ["__version__", "load_policy"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports `load_policy` when it is asked for: it needs JAX, and most modules need this one."""
    if name != "load_policy":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from acme_agents.runtime.policy import load_policy

    return load_policy
