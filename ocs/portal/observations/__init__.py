"""Observations: what telescopes shall do, what they report, and the time it costs."""
