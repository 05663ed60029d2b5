"""What handlers of the configuration are given."""

from typing import Annotated

from fastapi import Depends, Request

from ocs.configdb.service import Author
from ocs.kernel.security import ConfigdbStaff
from ocs.kernel.wire.pages import base_url
from ocs.kernel.wire.route import ClockDep, SettingsDep


async def base_of(request: Request, settings: SettingsDep) -> str:
    """Return the address under which the configuration answers, without the final slash."""
    return base_url(request) + settings.configdb_prefix


Base = Annotated[str, Depends(base_of)]


async def author_of(request: Request, principal: ConfigdbStaff, clock: ClockDep) -> Author:
    """Return who writes; only staff may."""
    return Author(principal.username, clock.now(), f"{request.method} {request.url.path}")


StaffAuthor = Annotated[Author, Depends(author_of)]
