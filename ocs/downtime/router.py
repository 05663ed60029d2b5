"""Routes of the downtimes."""

from ocs.kernel.wire.route import make_router

router = make_router("downtime")
