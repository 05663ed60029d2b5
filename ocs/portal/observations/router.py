"""Paths of the observations."""

from ocs.kernel.wire.route import make_router

router = make_router("observations")
