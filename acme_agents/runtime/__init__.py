"""What runs an agent, in one process, several, or one program: actors, learners, coordination, evaluations, logs."""
