"""Pure JAX: what every agent shares. Imports no TensorFlow, Reverb, Launchpad or dm-acme."""
