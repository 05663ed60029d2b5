"""Addresses of the accounts."""

from ocs.kernel.wire.route import make_router

router = make_router("accounts")
