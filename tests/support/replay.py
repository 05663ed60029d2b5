"""Plays a recorded dialogue against the application and tells where the answers differ.

A scenario is a list of requests; the recording has the answers the reference gave. Values may name what an
earlier answer contained (`${name}`). Wording of messages is free, so texts inside error bodies are equal.
"""

import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.app import TestApp

GOLDEN = Path(__file__).parents[1] / "golden"
PREFIXES = {"configdb": "/configdb", "downtime": "/downtime", "portal": "", "archive": ""}
UNORDERED = {"mode_types", "modes"}  # lists whose order the reference itself changes from answer to answer
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


@dataclass
class Step:
    """One request and how our answer differs; `differences` is empty when it does not."""

    id: str
    request: str
    differences: list[str] = field(default_factory=list)


def load(folder: str, name: str) -> Any:
    """Read a golden file."""
    return json.loads((GOLDEN / folder / f"{name}.json").read_text())


def tokens() -> dict[str, str]:
    """Return the tokens of the fixture's users."""
    users = json.loads((GOLDEN / "fixture.json").read_text())["users"]
    return {user["username"]: user["token"] for user in users}


async def play(app: TestApp, name: str, variables: dict[str, Any] | None = None) -> list[Step]:
    """Play a scenario; steps without a recorded answer keep the state right."""
    recording = load("recorded", name)
    answers = {step["id"]: step for step in recording["steps"]}
    bases = {
        recording["bases"][service]: f"http://testserver{prefix}" for service, prefix in PREFIXES.items()
    }
    known = variables if variables is not None else {}
    keys = tokens()
    played: list[Step] = []
    async with app.client() as client:
        for step in load("scenarios", name)["steps"]:
            path = PREFIXES[step["service"]] + _filled(step["path"], known)
            headers = {"Accept": "application/json", **step.get("headers", {})}
            if authorization := _authorization(_filled(step.get("auth", "anon"), known), keys):
                headers["Authorization"] = authorization
            answer = await client.request(
                step["method"],
                path,
                params=_filled(step.get("params"), known),
                json=_filled(step["json"], known) if "json" in step else None,
                data=_filled(step["form"], known) if "form" in step else None,
                content=step.get("raw"),
                headers=headers,
            )
            client.cookies.clear()
            is_json = answer.headers.get("content-type", "").startswith("application/json")
            body = answer.json() if is_json and answer.content else answer.text
            for variable, place in step.get("capture", {}).items():
                known[variable] = _dig(body, place)
            row = Step(step["id"], f"{step['method']} {path}")
            if step["id"] in answers:
                row.differences = _differences(answers[step["id"]], answer.status_code, body, bases)
            played.append(row)
    return played


def _authorization(auth: str, keys: dict[str, str]) -> str:
    kind, _, value = auth.partition(":")
    match kind:
        case "anon":
            return ""
        case "rawauth":
            return value
        case "token" | "bearer":
            return f"{kind.title()} {value}"
        case "basic":
            return "Basic " + base64.b64encode(value.encode()).decode()
        case _:
            return f"Token {keys[auth]}"


def _filled(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, str):
        whole = _VARIABLE.fullmatch(value)
        if whole:
            return known[whole[1]]
        return _VARIABLE.sub(lambda match: str(known[match[1]]), value)
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, known) for key, item in value.items()}
    return value


def _dig(body: Any, place: str) -> Any:
    for part in place.split("."):
        body = body[int(part)] if isinstance(body, list) else body[part]
    return body


def _differences(recorded: dict[str, Any], status: int, body: Any, bases: dict[str, str]) -> list[str]:
    wanted = recorded["response"]
    if wanted["status"] != status:
        return [f"status {wanted['status']} -> {status}"]
    if recorded.get("compare", {}).get("status_only") or wanted["kind"] != "json":
        return []
    text = json.dumps(wanted["body"])
    for old, new in bases.items():
        text = text.replace(old, new)
    found: list[str] = []
    _compare(json.loads(text), body, "", found, texts_count=status < 400)
    return found


def _compare(wanted: Any, ours: Any, place: str, found: list[str], *, texts_count: bool) -> None:
    if isinstance(wanted, dict) and isinstance(ours, dict):
        found += [f"{place}.{key} missing" for key in wanted if key not in ours]
        found += [f"{place}.{key} added" for key in ours if key not in wanted]
        for key in wanted.keys() & ours.keys():
            left, right = wanted[key], ours[key]
            if key in UNORDERED:
                left, right = (sorted(items, key=lambda item: item["id"]) for items in (left, right))
            _compare(left, right, f"{place}.{key}", found, texts_count=texts_count)
    elif isinstance(wanted, list) and isinstance(ours, list):
        if len(wanted) != len(ours):
            found.append(f"{place} length {len(wanted)} -> {len(ours)}")
        for index, (left, right) in enumerate(zip(wanted, ours, strict=False)):
            _compare(left, right, f"{place}[{index}]", found, texts_count=texts_count)
    elif isinstance(wanted, str) and isinstance(ours, str) and not texts_count:
        return
    elif type(wanted) is not type(ours) or wanted != ours:
        found.append(f"{place} {wanted!r} -> {ours!r}")
