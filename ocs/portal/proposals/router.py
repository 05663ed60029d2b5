"""Addresses of the proposals."""

from ocs.kernel.wire.route import make_router

router = make_router("proposals")
