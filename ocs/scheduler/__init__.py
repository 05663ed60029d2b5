"""Optimal schedules: what is observed where and when, and why not otherwise."""
