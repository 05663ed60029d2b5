"""Paths of the scheduler."""

from ocs.kernel.wire.route import make_router

router = make_router("scheduler")
