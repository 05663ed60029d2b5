"""The scheduler's door: it is at the end of the house, so nobody but the application comes in here."""

from ocs.scheduler.service import register

__all__ = ["register"]
