"""SQL of the observations."""
