"""The OpenAPI document and the pages that show it, as a product of their own."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

try:
    VERSION = version("ocs")
except PackageNotFoundError:  # run from a source tree that is not installed
    VERSION = "0.0.0"

DESCRIPTION = """
Requests, optimal schedules, time accounting and archive of an observatory behind one API.

Times are UTC, ISO 8601. Send `Authorization: Token <key>` (the API token of your profile) or
`Authorization: Bearer <token>`.
Errors have the shape `{"detail": text}`, or mirror the structure of what was sent; ask for
`application/problem+json` to get RFC 9457 with JSON pointers.
"""

_ASSETS = Path(fastapi_offline.__file__).parent / "static"
_SECURITY = {
    "Token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Token <key>`"},
    "Bearer": {"type": "http", "scheme": "bearer"},
    "Session": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
}
_ERROR = {
    "description": "The request is not valid; the body names the fields",
    "content": {"application/json": {}},
}


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        openapi_version="3.1.0",
    )
    document.setdefault("components", {})["securitySchemes"] = _SECURITY
    document["security"] = [{}, {"Token": []}, {"Bearer": []}, {"Session": []}]
    for path in document["paths"].values():
        for operation in path.values():
            # FastAPI announces its own 422; ours is a 400 in the reference's shape.
            if operation.get("responses", {}).pop("422", None) is not None:
                operation["responses"].setdefault("400", _ERROR)
    for schema in document["components"].get("schemas", {}).values():
        for field in schema.get("properties", {}).values():
            if field.get("default") == "" and field.get("minLength", 0) > 0:
                del field["default"]  # what a missing key means, but nothing that may be sent
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"].get("schemas", {}).pop(unused, None)
    return document


def install(app: FastAPI) -> None:
    """Serve the document, its alias, and both pages with assets from an installed package."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
    app.mount("/docs/assets", StaticFiles(directory=_ASSETS), name="docs-assets")

    @app.get("/openapi/", include_in_schema=False)
    async def alias() -> dict[str, Any]:
        return document()

    @app.get("/docs", include_in_schema=False)
    async def swagger(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=app.title,
            swagger_js_url=f"{root}/docs/assets/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/assets/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/assets/favicon.png",
        )

    @app.get("/redoc", include_in_schema=False)
    async def redoc(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        return get_redoc_html(
            openapi_url=f"{root}/openapi.json",
            title=app.title,
            redoc_js_url=f"{root}/docs/assets/redoc.standalone.js",
            redoc_favicon_url=f"{root}/docs/assets/favicon.png",
            with_google_fonts=False,
        )
