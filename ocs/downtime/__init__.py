"""Downtime: when telescopes, or instruments of a type on them, are not to be used."""
