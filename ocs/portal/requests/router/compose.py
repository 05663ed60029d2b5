"""The address at which target managers let their users begin a request."""

import math
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request

from ocs.kernel.errors import InvalidInput
from ocs.kernel.wire.route import JsonBytes, OcsRoute, SettingsDep
from ocs.portal.requests.router.answers import json_answer

router = APIRouter(route_class=OcsRoute)

_PREFIX = "target_"
_TEXTS = {"name", "type", "scheme"}


def _value(name: str, text: str) -> str | float:
    """Return what a parameter says: texts as they are, everything else as a number if it is one."""
    try:
        number = math.nan if name in _TEXTS else float(text)
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else text


@router.get("/create/", summary="Begin a request", response_model=dict[str, Any])
async def compose_request(
    request: Request,
    settings: SettingsDep,
    redirect_uri: Annotated[str, Query(description="Where the user goes afterwards")] = "",
) -> JsonBytes:
    """Return the target given as `target_name`, `target_ra`, ... as the beginning of a request group.

    Nothing is stored. The user is only led back to origins of the setting `compose_return_origins`.
    """
    if redirect_uri:
        try:
            parts = urlsplit(redirect_uri)
        except ValueError:
            parts = urlsplit("")
        allowed = {origin.rstrip("/").lower() for origin in settings.compose_return_origins}
        if f"{parts.scheme}://{parts.netloc}".lower() not in allowed:
            raise InvalidInput.fields(
                redirect_uri="This address is not one to return to; ask the observatory to allow its origin."
            )
    target = {
        name.removeprefix(_PREFIX): _value(name.removeprefix(_PREFIX), text)
        for name, text in request.query_params.items()
        if name.startswith(_PREFIX) and text
    }
    begun = {"requests": [{"configurations": [{"target": {"type": "ICRS", **target}}]}]}
    return json_answer({"requestgroup": begun, "redirect_uri": redirect_uri or None})
