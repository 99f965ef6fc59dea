"""Intrinsic bonuses, each a function of the agent that it goes around; `wrapping` is what they share."""
