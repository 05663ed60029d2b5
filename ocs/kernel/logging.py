"""Structured logs: one JSON object a line, each with the id of the request that caused it."""

import contextvars
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import orjson

request_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("request_id", default=None)

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Format a record as one line of JSON; whatever is passed as `extra` becomes a key."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its line feed."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if identifier := request_id.get():
            entry["request_id"] = identifier
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure_logging(level: str, file: Path | None = None) -> None:
    """Send every logger's records to standard error, or to `file`, as JSON lines."""
    if file is None:
        handler: logging.Handler = logging.StreamHandler(sys.stderr)
    else:
        handler = RotatingFileHandler(file, maxBytes=20_000_000, backupCount=1, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True
    # One line per request comes from our own middleware; the libraries' chatter adds nothing.
    for name in ("uvicorn.access", "aiobotocore", "botocore", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
