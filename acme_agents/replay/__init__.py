"""Replay: from an actor's steps through Reverb to batches gathered inside the learner's jitted updates."""
