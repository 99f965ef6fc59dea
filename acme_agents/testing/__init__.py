"""For authors of agents: checks that every agent must pass. Imports neither pytest nor the runtime."""
