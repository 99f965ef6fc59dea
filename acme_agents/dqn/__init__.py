"""DQN, with double Q-learning, a dueling head, prioritised replay and n-step returns, each of which can be left out."""

from acme_agents.dqn.agent import DQN as make
from acme_agents.dqn.config import Config

__all__ = ["Config", "make"]
