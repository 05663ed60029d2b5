"""Routes of the configuration."""

from ocs.kernel.wire.route import make_router

router = make_router("configdb")
