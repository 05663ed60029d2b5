"""Addresses of the request groups."""

from ocs.kernel.wire.route import make_router

router = make_router("requests")
