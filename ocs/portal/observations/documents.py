"""The forms in which observations are sent.

Lists send the *schedule-form*, with the whole request in it; POST, PATCH and GET of one observation the
*flat-form*; ``schedule/{id}/`` the *direct-form*; the list at a request the *summary-form*. They differ in
what they call things and in what they leave out, and clients rely on each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ocs.kernel.wire.types import iso_z
from ocs.portal.observations.records import Observation, Status, Summary
from ocs.portal.requests.api import EmbeddedRequest

Plain = dict[str, Any]


def _summary(summary: Summary) -> Plain:
    return {
        "start": iso_z(summary.start),
        "end": iso_z(summary.end),
        "state": summary.state,
        "reason": summary.reason,
        "time_completed": summary.time_completed_s,
        "events": summary.events,
    }


def _numbered_summary(status: Status) -> Plain:
    """Return the summary as lists show it; a status has one summary, so they share their number."""
    return {"id": status.id, **_summary(status.summary)} if status.summary else {}


def status_form(status: Status) -> Plain:
    """Return one status."""
    return {
        "id": status.id,
        "summary": _summary(status.summary) if status.summary else None,
        "instrument_name": status.instrument_name,
        "guide_camera_name": status.guide_camera_name,
        "state": status.state,
        "configuration": status.configuration_id,
    }


def _place(observation: Observation) -> Plain:
    return {
        **observation.telescope._asdict(),
        "start": iso_z(observation.start),
        "end": iso_z(observation.end),
    }


def flat_form(observation: Observation) -> Plain:
    """Return an observation with its statuses and the number of its request."""
    return {
        "id": observation.id,
        **_place(observation),
        "priority": observation.priority,
        "configuration_statuses": [status_form(status) for status in observation.statuses],
        "request": observation.request_id,
        "state": observation.state,
        "modified": iso_z(observation.modified),
        "created": iso_z(observation.created),
    }


def summary_form(observation: Observation) -> Plain:
    """Return an observation as the list at its request shows it."""
    return {
        "id": observation.id,
        "request": observation.request_id,
        **_place(observation),
        "priority": observation.priority,
        "state": observation.state,
        "configuration_statuses": [
            {
                "id": status.id,
                "configuration": status.configuration_id,
                "instrument_name": status.instrument_name,
                "guide_camera_name": status.guide_camera_name,
                "state": status.state,
                "summary": _numbered_summary(status),
            }
            for status in observation.statuses
        ],
    }


def _executed(statuses: Sequence[Status], configurations: Sequence[Mapping[str, Any]]) -> list[Plain]:
    """Return one configuration per status; in later rounds the priorities go on counting."""
    known = {item["id"]: item for item in configurations}
    rounds: dict[int, int] = {}
    result = []
    for status in statuses:
        entry: Plain = {"configuration_status": status.id, "state": status.state}
        configuration = known.get(status.configuration_id)
        if configuration is not None:  # a real-time session has none
            past = rounds.get(configuration["id"], 0)
            rounds[configuration["id"]] = past + 1
            entry = {
                **configuration,
                "priority": configuration["priority"] + past * len(configurations),
                **entry,
                "instrument_name": status.instrument_name,
                "guide_camera_name": status.guide_camera_name,
                "summary": _numbered_summary(status),
            }
        result.append(entry)
    return result


def _owner(observation: Observation, request: EmbeddedRequest) -> Plain:
    return {
        "proposal": observation.proposal_id,
        "submitter": request.submitter,
        "name": request.group_name,
        "ipp_value": request.ipp_value,
        "observation_type": observation.observation_type,
        "request_group_id": request.group_id,
    }


def schedule_form(observation: Observation, request: EmbeddedRequest) -> bytes:
    """Return an observation as lists send it, as JSON."""
    return orjson.dumps(
        {
            "id": observation.id,
            "request": {
                **request.head,
                "configurations": _executed(observation.statuses, request.configurations),
            },
            **_place(observation),
            "priority": observation.priority,
            "state": observation.state,
            **_owner(observation, request),
            "created": iso_z(observation.created),
            "modified": iso_z(observation.modified),
        }
    )


def direct_form(observation: Observation, request: EmbeddedRequest, detail: Plain) -> Plain:
    """Return an observation with its request.

    Parameters
    ----------
    detail
        The request in detail-form. Each configuration gets its last round's status.
    """
    latest = {status.configuration_id: status for status in observation.statuses}
    configurations = []
    for item in detail["configurations"]:
        status = latest.get(item["id"])
        entry = {**item, "target": {**item["target"], "scheme": item["target"].get("scheme") or ""}}
        if status is not None:
            entry |= {
                "configuration_status": status.id,
                "summary": _summary(status.summary) if status.summary else None,
                "instrument_name": status.instrument_name,
                "guide_camera_name": status.guide_camera_name,
                "state": status.state,
            }
        configurations.append(entry)
    body = {key: value for key, value in detail.items() if key not in {"location", "windows"}}
    return {
        **_place(observation),
        "state": observation.state,
        "request": {**body, "configurations": configurations},
        "priority": observation.priority,
        "id": observation.id,
        "modified": iso_z(observation.modified),
        **_owner(observation, request),
    }


def realtime_form(observation: Observation, request: EmbeddedRequest) -> Plain:
    """Return a real-time session."""
    return {
        **_place(observation),
        "state": observation.state,
        "priority": observation.priority,
        "id": observation.id,
        "modified": iso_z(observation.modified),
        **_owner(observation, request),
        "configuration_status_id": observation.statuses[0].id if observation.statuses else None,
    }
