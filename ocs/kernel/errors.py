"""Everything that can go wrong, and how it is told.

::

    OcsError
    ├── InvalidInput            400   the caller can mend it; `body` names the field
    ├── NotAuthenticated        403   (401 with a challenge in configdb, downtime and archive)
    ├── PermissionDenied        403
    ├── NotFound                404
    ├── Conflict                409
    ├── PreconditionFailed      412
    ├── TooLarge                413
    ├── UnsupportedMediaType    415
    ├── TooManyRequests         429
    └── Unavailable             503

Modules derive one class per failure from these in their own `errors.py`. Bodies have the shapes of the
reference system: ``{"detail": text}`` for what concerns the whole request, and a structure that mirrors the
input for what concerns its fields. A caller who asks for ``application/problem+json`` gets RFC 9457 instead.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ocs.kernel.logging import request_id

logger = logging.getLogger("ocs.errors")

DATETIME_FORMAT = (
    "Datetime has wrong format. Use one of these formats instead: "
    "YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)


class OcsError(Exception):
    """Base of all failures that have an answer.

    Parameters
    ----------
    detail
        One sentence for the astronomer: what is wrong and what to do.
    body
        The whole answer where it is not ``{"detail": detail}``.
    headers
        Extra headers of the answer.
    """

    status = 500
    code = "error"
    detail = "Something went wrong."

    def __init__(
        self, detail: str | None = None, *, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.detail = detail or type(self).detail
        self.body = {"detail": self.detail} if body is None else body
        self.headers = dict(headers or {})
        super().__init__(self.detail)


class InvalidInput(OcsError):
    """The request is not acceptable as it is."""

    status = 400
    code = "invalid"
    detail = "The request is not valid."

    @classmethod
    def fields(cls, **messages: str | Sequence[str]) -> "InvalidInput":
        """Return an error that blames fields: ``fields(end="Must lie in the future.")``."""
        return cls(
            body={name: [text] if isinstance(text, str) else list(text) for name, text in messages.items()}
        )

    @classmethod
    def whole(cls, message: str) -> "InvalidInput":
        """Return an error that blames a combination of fields."""
        return cls(body={"non_field_errors": [message]})


class NotAuthenticated(OcsError):
    """Who the caller is matters here, and is not known."""

    status = 403
    code = "not_authenticated"
    detail = "Authentication credentials were not provided."


class PermissionDenied(OcsError):
    """The caller is known and may not do this."""

    status = 403
    code = "permission_denied"
    detail = "You do not have permission to perform this action."


class NotFound(OcsError):
    """There is no such thing, or it is not the caller's to see."""

    status = 404
    code = "not_found"
    detail = "Not found."

    @classmethod
    def of(cls, model: str) -> "NotFound":
        """Return the reference's sentence for a missing object of `model`."""
        return cls(f"No {model} matches the given query.")


class Conflict(OcsError):
    """The state of the data does not allow this."""

    status = 409
    code = "conflict"
    detail = "The current state does not allow this."


class PreconditionFailed(OcsError):
    """The object changed since the caller read it."""

    status = 412
    code = "precondition_failed"
    detail = "The object was changed by somebody else; read it again and repeat the change."


class TooLarge(OcsError):
    """The body is larger than we read."""

    status = 413
    code = "too_large"
    detail = "The request body is too large."


class UnsupportedMediaType(OcsError):
    """The body has a type we do not read."""

    status = 415
    code = "unsupported_media_type"


class TooManyRequests(OcsError):
    """A rate limit is used up."""

    status = 429
    code = "throttled"

    def __init__(self, wait_s: int) -> None:
        super().__init__(
            f"Request was throttled. Expected available in {wait_s} seconds.",
            headers={"Retry-After": str(wait_s)},
        )


class Unavailable(OcsError):
    """A part we need does not answer; the caller may try again."""

    status = 503
    code = "unavailable"
    detail = "The service is not ready; try again shortly."

    def __init__(self, detail: str | None = None, retry_after_s: int = 2) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})


# --- reference-shaped bodies from validation failures ---------------------------------------------------


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and not value.is_integer() else str(value)


def _message(error: Mapping[str, Any], *, query: bool) -> str | dict[str, list[str]]:
    """Return the reference's words for one pydantic error."""
    kind: str = error["type"]
    value = error.get("input")
    context: Mapping[str, Any] = error.get("ctx") or {}
    kind_of_value = type(value).__name__
    if kind == "missing":
        return "This field is required."
    if value is None and not kind.startswith(("value_error", "ocs")):
        return "This field may not be null."
    match kind:
        case "string_too_short":
            return "This field may not be blank."
        case "string_too_long":
            return f"Ensure this field has no more than {context['max_length']} characters."
        case "string_type":
            return "Not a valid string."
        case "too_short":
            return "This list may not be empty."
        case "too_long":
            return f"Ensure this field has no more than {context['max_length']} elements."
        case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
            return "Enter a number." if query else "A valid integer is required."
        case "float_type" | "float_parsing" | "finite_number":
            return "Enter a number." if query else "A valid number is required."
        case "bool_type" | "bool_parsing":
            return "Must be a valid boolean."
        case "greater_than_equal":
            return f"Ensure this value is greater than or equal to {_number(context['ge'])}."
        case "less_than_equal":
            return f"Ensure this value is less than or equal to {_number(context['le'])}."
        case "literal_error" | "enum":
            if query:
                return f"Select a valid choice. {value} is not one of the available choices."
            return f'"{value}" is not a valid choice.'
        case "list_type":
            return {"non_field_errors": [f'Expected a list of items but got type "{kind_of_value}".']}
        case "model_type" | "model_attributes_type" | "dataclass_type":
            return {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind_of_value}."]}
        case "dict_type":
            return f'Expected a dictionary of items but got type "{kind_of_value}".'
        case _ if kind.startswith(("datetime", "timezone", "date")):
            return "Enter a valid date/time." if query else DATETIME_FORMAT
        case "value_error":
            return str(context.get("error", error["msg"]))
        case _:
            return str(error["msg"])


def _place(
    node: dict[str, Any], value: Any, path: Sequence[str | int], message: str | dict[str, list[str]]
) -> None:
    """Put `message` at `path` of the error structure `node` that mirrors `value`."""
    if not path:
        texts = message if isinstance(message, dict) else {"non_field_errors": [message]}
        for key, items in texts.items():
            node.setdefault(key, []).extend(items)
        return
    key, rest = str(path[0]), path[1:]
    child = value.get(key) if isinstance(value, dict) else None
    if not rest:
        if isinstance(message, dict):
            node.setdefault(key, {}).update(message)
        elif isinstance(child, dict):
            node.setdefault(key, {}).setdefault("non_field_errors", []).append(message)
        else:
            node.setdefault(key, []).append(message)
        return
    if isinstance(rest[0], int) and isinstance(child, list):
        index = rest[0]
        if isinstance(child[index], dict) or any(isinstance(item, dict) for item in child):
            rows = node.setdefault(key, [{} for _ in child])
            _place(rows[index], child[index], rest[1:], message)
        else:
            _place(node.setdefault(key, {}), {str(i): item for i, item in enumerate(child)}, rest, message)
        return
    _place(node.setdefault(key, {}), child, rest, message)


def reference_body(errors: Iterable[Mapping[str, Any]], value: Any, *, query: bool = False) -> Any:
    """Turn pydantic errors into the reference's structure, which mirrors the input.

    Parameters
    ----------
    errors
        Items of `ValidationError.errors()` with `loc` relative to `value`.
    value
        What was validated: an object, or a list of objects (then a list of equal length comes back).
    query
        Whether the values are query parameters, which have words of their own.
    """
    errors = list(errors)
    if isinstance(value, list) and all(error["loc"] for error in errors):
        rows: list[dict[str, Any]] = [{} for _ in value]
        for error in errors:
            index = int(error["loc"][0])
            _place(rows[index], value[index], error["loc"][1:], _message(error, query=query))
        return rows
    node: dict[str, Any] = {}
    for error in errors:
        _place(node, value, error["loc"], _message(error, query=query))
    return node


# --- answers --------------------------------------------------------------------------------------------


def _pointers(body: Any, path: str = "") -> Iterable[dict[str, str]]:
    if isinstance(body, dict):
        for key, child in body.items():
            yield from _pointers(child, path if key in {"detail", "non_field_errors"} else f"{path}/{key}")
    elif isinstance(body, list):
        for index, child in enumerate(body):
            if isinstance(child, str):
                yield {"pointer": path, "detail": child}
            else:
                yield from _pointers(child, f"{path}/{index}")
    else:
        yield {"pointer": path, "detail": str(body)}


class _JsonResponse(Response):
    media_type = "application/json"


def answer(request: Request, error: OcsError) -> Response:
    """Return `error` in the form the caller asked for."""
    if "application/problem+json" in request.headers.get("accept", ""):
        problem = {
            "type": f"urn:ocs:error:{error.code}",
            "title": type(error).detail,
            "status": error.status,
            "detail": error.detail,
            "instance": request_id.get(),
            "errors": list(_pointers(error.body)),
        }
        return Response(
            orjson.dumps(problem), error.status, error.headers, media_type="application/problem+json"
        )
    return _JsonResponse(orjson.dumps(error.body), error.status, error.headers)


def from_validation(request: Request, error: RequestValidationError) -> OcsError:
    """Translate FastAPI's validation failure."""
    by_place: dict[str, list[dict[str, Any]]] = {}
    for item in error.errors():
        place, *rest = item["loc"]
        by_place.setdefault(str(place), []).append({**item, "loc": rest})
    if "path" in by_place:
        return NotFound()
    if "query" in by_place:
        values = dict(request.query_params)
        errors = by_place["query"]
        for item in errors:
            item["loc"] = item["loc"][:1]  # the n-th value of a repeated parameter blames the parameter
        return InvalidInput(body=reference_body(errors, values, query=True))
    if "body" in by_place:
        return InvalidInput(body=reference_body(by_place["body"], error.body))
    return InvalidInput(body=reference_body(error.errors(), {}))


_TRANSIENT = ("08", "57P01", "57P02", "57P03", "53300", "40001", "40P01", "25006")


def sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE of a database failure, '' when it has none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    cause = original.__cause__ if original is not None else None
    return str(getattr(original, "sqlstate", None) or getattr(cause, "sqlstate", None) or "")


def is_transient(error: BaseException) -> bool:
    """Tell whether the database may well do the same work a moment later."""
    if isinstance(error, PoolTimeout | ConnectionError | TimeoutError):
        return True
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or sqlstate(error).startswith(_TRANSIENT) or _lost(error)
    return False


def _lost(error: DBAPIError) -> bool:
    text = str(error.orig)
    return (
        "connection is closed" in text or "connection was closed" in text or "ConnectionDoesNotExist" in text
    )


def from_database(error: DBAPIError) -> OcsError | None:
    """Return the caller's error behind a database failure, None when it is ours."""
    state = sqlstate(error)
    if state.startswith("22"):  # data exception: a NUL character, a number out of range
        return InvalidInput(
            "A value cannot be stored: it is out of range or has a character that is not text."
        )
    if state.startswith("23"):
        return Conflict("The change contradicts data that is already stored.")
    if state in {"53100", "53200"}:
        return Unavailable("The database has no space left.", retry_after_s=30)
    return None


class _Wrapper(Protocol):
    async def __call__(self, request: Request, error: Exception) -> Response: ...


def add_error_handlers(app: FastAPI) -> None:
    """Make every failure answer in the shapes of this file."""

    async def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, OcsError)
        return answer(request, error)

    async def validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, from_validation(request, error))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            detail = f'Method "{request.method}" not allowed.'
        else:
            detail = {404: "Not found."}.get(error.status_code, str(error.detail))
        failure = OcsError(detail, headers=error.headers)
        failure.status = error.status_code
        failure.code = "http"
        return answer(request, failure)

    async def database(request: Request, error: Exception) -> Response:
        assert isinstance(error, DBAPIError)
        if is_transient(error):
            return answer(request, Unavailable("The database does not answer; try again shortly."))
        if failure := from_database(error):
            logger.warning("refused by the database", extra={"sqlstate": sqlstate(error)})
            return answer(request, failure)
        return await unexpected(request, error)

    async def unexpected(request: Request, error: Exception) -> Response:
        logger.error("unexpected failure", exc_info=error, extra={"path": request.url.path})
        return answer(
            request,
            OcsError(f"Internal error {request_id.get() or ''}; please report this id.".replace(" ;", ";")),
        )

    handlers: dict[type[Exception], _Wrapper] = {
        OcsError: known,
        RequestValidationError: validation,
        HTTPException: http,
        DBAPIError: database,
        Exception: unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
