"""Rules of the observations."""
