"""Cookies of a browser."""

import secrets
from datetime import timedelta

from fastapi import Request, Response

from ocs.kernel.security import CSRF_COOKIE, SESSION_COOKIE
from ocs.portal.accounts.service import SESSION_LIFETIME

_CSRF_LIFETIME = timedelta(days=364)


def set_csrf_cookie(request: Request, response: Response, token: str) -> None:
    """Give a browser the token that our pages send back to prove themselves."""
    response.set_cookie(
        CSRF_COOKIE,
        token,
        max_age=int(_CSRF_LIFETIME.total_seconds()),
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def set_session_cookies(request: Request, response: Response, key: str) -> None:
    """Give a browser its session, and a new token for its pages."""
    response.set_cookie(
        SESSION_COOKIE,
        key,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    set_csrf_cookie(request, response, secrets.token_urlsafe(24))
