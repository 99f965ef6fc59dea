"""Replay: from an actor's steps to batches gathered inside the learner's jitted updates."""
