"""Addresses of the request groups."""

from ocs.kernel.wire.route import make_router
from ocs.portal.requests.router import compose, drafts, groups, telescopes, tools

router = make_router("requests")
for part in (groups, tools, telescopes, drafts, compose):
    router.include_router(part.router)
