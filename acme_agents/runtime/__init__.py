"""What runs an agent: actors, learners, variables, checkpoints, logging."""
