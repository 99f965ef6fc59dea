"""Experiments: what to run, and the programs made from it."""

from acme_agents.experiments.experiment import Experiment

__all__ = ["Experiment"]
