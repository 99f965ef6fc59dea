"""Experiments: what to run, as data, and the agents and replay made from it."""

from acme_agents.experiments.experiment import Base, Experiment

__all__ = ["Base", "Experiment"]
