"""Probes, clock and the documents answer as promised."""

import httpx
from openapi_spec_validator import validate


async def test_health_is_the_bare_string_ok(anonymous: httpx.AsyncClient) -> None:
    for path in ("/health", "/health/"):
        answer = await anonymous.get(path)
        assert (answer.status_code, answer.json()) == (200, "ok")


async def test_ready_names_every_check(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/ready")
    assert answer.status_code == 200
    body = answer.json()
    assert body["ready"] is True
    assert set(body["checks"]) == {"database", "schema", "object_store"}
    assert all(set(check) == {"ok", "detail"} and check["ok"] for check in body["checks"].values())
    assert isinstance(body["warnings"], list)


async def test_clock_tells_time_and_rate(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/api/clock/")).json() == {"now": "2016-09-01T00:00:00Z", "rate": 1.0}


async def test_the_openapi_document_validates_and_operation_ids_are_unique(
    anonymous: httpx.AsyncClient,
) -> None:
    document = (await anonymous.get("/openapi.json")).json()
    validate(document)
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    assert (await anonymous.get("/openapi/")).json() == document


async def test_document_pages_load_nothing_from_outside(anonymous: httpx.AsyncClient) -> None:
    for page, script in (("/docs", "swagger-ui-bundle.js"), ("/redoc", "redoc.standalone.js")):
        html = (await anonymous.get(page)).text
        assert "https://" not in html
        assert f"/docs/assets/{script}" in html
        assert (await anonymous.get(f"/docs/assets/{script}")).status_code == 200


async def test_address_without_slash_redirects_reads_and_keeps_the_query(
    anonymous: httpx.AsyncClient,
) -> None:
    answer = await anonymous.get("/api/clock?a=1&b=2")
    assert (answer.status_code, answer.headers["location"]) == (301, "/api/clock/?a=1&b=2")


async def test_unknown_path_and_wrong_method_answer_json(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/nowhere/")).json() == {"detail": "Not found."}
    wrong = await anonymous.put("/api/clock/")
    assert (wrong.status_code, wrong.json()) == (405, {"detail": 'Method "PUT" not allowed.'})


async def test_every_answer_carries_a_request_id(anonymous: httpx.AsyncClient) -> None:
    first, second = [await anonymous.get("/health") for _ in range(2)]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_metrics_are_in_the_prometheus_format(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "ocs_request_seconds_bucket" in answer.text
