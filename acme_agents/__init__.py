"""acme_agents: distributed reinforcement learning in JAX, in the tradition of Acme."""

__version__ = "0.1.0"
