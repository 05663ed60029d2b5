"""Storing and finding frames; numbers are those of the archive contract's behaviours."""

import asyncio

import httpx
import pytest

from tests.archive.conftest import Member
from tests.support.app import TestApp
from tests.support.archive import names, post, record


async def test_A1_a_posted_frame_is_answered_in_model_form(ingester: httpx.AsyncClient) -> None:
    answer = await ingester.post("/frames/", json=record("a1"))
    assert answer.status_code == 201
    body = answer.json()
    assert isinstance(body["id"], int)
    assert body["filename"] == "a1.fits.fz"
    assert "DATE_OBS" not in body
    assert list(body) == [
        "id",
        "basename",
        "area",
        "related_frames",
        "version_set",
        "filename",
        "url",
        "observation_date",
        "observation_day",
        "proposal_id",
        "instrument_id",
        "target_name",
        "reduction_level",
        "site_id",
        "telescope_id",
        "exposure_time",
        "primary_optical_element",
        "public_date",
        "configuration_type",
        "observation_id",
        "request_id",
    ]


async def test_A2_only_superusers_store_frames(
    app: TestApp, anonymous: httpx.AsyncClient, member: Member
) -> None:
    refused = await anonymous.post("/frames/", json=record())
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"] == "Token"
    plain = await member("plain")
    assert (await plain.post("/frames/", json=record())).status_code == 403
    async with app.client("zzz") as stranger:
        wrong = await stranger.post("/frames/", json=record())
    assert (wrong.status_code, wrong.json()) == (401, {"detail": "Invalid token."})


async def test_A3_the_same_file_again_is_refused(ingester: httpx.AsyncClient) -> None:
    body = record()
    first = (await ingester.post("/frames/", json=body)).json()
    again = await ingester.post("/frames/", json=body)
    assert again.status_code == 400
    assert again.json()["version_set"][0]["md5"] == ["version with this md5 already exists."]
    assert len((await ingester.get(f"/frames/{first['id']}/")).json()["version_set"]) == 1


async def test_A4_a_new_file_of_a_known_frame_is_a_new_version(ingester: httpx.AsyncClient) -> None:
    first = await post(ingester, "a1")
    second = await post(ingester, "a1", target_name="M52")
    assert second["id"] == first["id"]
    detail = (await ingester.get(f"/frames/{first['id']}/")).json()
    assert detail["target_name"] == "M52"
    md5s = [version["md5"] for version in detail["version_set"]]
    assert md5s == [second["version_set"][0]["md5"], first["version_set"][0]["md5"]]
    assert detail["url"] == detail["version_set"][0]["url"]


async def test_A5_of_two_posts_of_one_file_at_once_one_wins(ingester: httpx.AsyncClient) -> None:
    for number in range(5):
        body = record(f"a{number}")
        answers = await asyncio.gather(
            ingester.post("/frames/", json=body),
            ingester.post("/frames/", json=body | {"basename": f"b{number}"}),
        )
        assert sorted(answer.status_code for answer in answers) == [201, 400]


async def test_A6_impossible_sets_of_versions_are_refused(ingester: httpx.AsyncClient) -> None:
    body = record()
    body["version_set"] *= 2
    assert (await ingester.post("/frames/", json=body)).status_code == 400
    missing = await ingester.post("/frames/", json=record(version_set=None))
    assert missing.json() == {"version_set": ["This field may not be null."]}
    body = record()
    del body["version_set"]
    assert (await ingester.post("/frames/", json=body)).json() == {"version_set": ["This field is required."]}
    assert (await ingester.get("/frames/")).json()["count"] == 0


async def test_A7_exactly_seven_keys_are_required(ingester: httpx.AsyncClient) -> None:
    refused = set()
    for key in record():
        body = record(f"without-{key}")
        del body[key]
        answer = await ingester.post("/frames/", json=body)
        if answer.status_code == 400:
            assert answer.json() == {key: ["This field is required."]}
            refused.add(key)
    assert refused == {
        *("basename", "area", "headers", "observation_day", "configuration_type"),
        *("related_frame_filenames", "version_set"),
    }


async def test_A8_ids_may_be_text_or_nothing(ingester: httpx.AsyncClient) -> None:
    assert (await post(ingester, "text", request_id="12345"))["request_id"] == 12345
    assert (await post(ingester, "blank", request_id=""))["request_id"] is None
    assert (await post(ingester, "null", request_id=None))["request_id"] is None
    assert (await post(ingester, "big", request_id=2147483648))["request_id"] == 2147483648
    negative = await ingester.post("/frames/", json=record(request_id=-1))
    assert negative.json() == {"request_id": ["Ensure this value is greater than or equal to 0."]}


async def test_A8_blank_numbers_and_dates_are_null(ingester: httpx.AsyncClient) -> None:
    frame = await post(ingester, "a1", exposure_time="", public_date="", observation_id="")
    assert (frame["exposure_time"], frame["public_date"], frame["observation_id"]) == (None, None, None)


async def test_A9_nights_are_written_in_two_ways(ingester: httpx.AsyncClient) -> None:
    for name, day in (("dashes", "2024-03-15"), ("plain", "20240315")):
        assert (await post(ingester, name, observation_day=day))["observation_day"] == "2024-03-15"
    wrong = await ingester.post("/frames/", json=record(observation_day="2024/03/15"))
    assert wrong.json() == {
        "observation_day": ["Date has wrong format. Use one of these formats instead: YYYY-MM-DD, YYYYMMDD."]
    }


async def test_A10_unknown_types_are_refused(ingester: httpx.AsyncClient) -> None:
    wrong = await ingester.post("/frames/", json=record(configuration_type="NOPE"))
    assert wrong.status_code == 400
    assert wrong.json() == {"configuration_type": ['"NOPE" is not a valid choice.']}


async def test_A11_related_frames_are_remembered_before_they_come(ingester: httpx.AsyncClient) -> None:
    frame = await post(ingester, "a1", related_frame_filenames=["x", "a1"])
    (other,) = frame["related_frames"]
    assert other != frame["id"]
    assert (await ingester.get(f"/frames/{other}/")).status_code == 404
    assert await names(ingester) == ["a1"]
    assert (await ingester.get(f"/frames/{frame['id']}/related/")).json() == []
    later = await post(ingester, "x")
    assert later["id"] == other
    assert later["related_frames"] == [frame["id"]]
    (shown,) = (await ingester.get(f"/frames/{frame['id']}/related/")).json()
    assert shown["basename"] == "x"


async def test_A11_frames_that_name_each_other_can_come_at_once(ingester: httpx.AsyncClient) -> None:
    for number in range(5):
        one, two = f"one{number}", f"two{number}"
        answers = await asyncio.gather(
            ingester.post("/frames/", json=record(one, related_frame_filenames=[two])),
            ingester.post("/frames/", json=record(two, related_frame_filenames=[one])),
        )
        assert [answer.status_code for answer in answers] == [201, 201]


async def test_A11_blank_relatives_are_refused(ingester: httpx.AsyncClient) -> None:
    wrong = await ingester.post("/frames/", json=record(related_frame_filenames=["x", "y", ""]))
    assert wrong.status_code == 400
    assert wrong.json() == {"related_frame_filenames": {"2": ["This field may not be blank."]}}


async def test_A12_versions_are_found_by_their_exact_md5(
    ingester: httpx.AsyncClient, anonymous: httpx.AsyncClient, member: Member
) -> None:
    known = (await post(ingester, "a1"))["version_set"][0]["md5"]
    for number in range(20):
        await post(ingester, f"other{number}")
    unknown = (await ingester.get("/versions/", params={"md5": "f" * 32})).json()
    assert (unknown["count"], unknown["results"]) == (0, [])
    found = (await ingester.get("/versions/", params={"md5": known})).json()
    assert found["count"] == 1
    assert [row["md5"] for row in found["results"]] == [known]
    assert (await ingester.get("/versions/", params={"limit": 5})).json()["count"] == 21
    assert (await anonymous.get("/versions/")).status_code == 401
    assert (await (await member("plain")).get("/versions/")).status_code == 403
    assert (await ingester.post("/versions/", json={})).status_code == 405


async def test_A13_names_are_found_in_part_or_exactly(ingester: httpx.AsyncClient) -> None:
    await post(ingester, "a1")
    await post(ingester, "50%x")
    assert await names(ingester, basename="A1") == ["a1"]
    assert await names(ingester, basename_exact="A1") == []
    assert await names(ingester, basename="%") == ["50%x"]
    assert await names(ingester, basename="_") == []


async def test_A14_exposure_times_are_lower_bounds(ingester: httpx.AsyncClient) -> None:
    await post(ingester, "short", exposure_time=10)
    await post(ingester, "long", exposure_time=300)
    assert await names(ingester, exposure_time="11") == ["long"]
    assert await names(ingester, EXPTIME="10") == ["long", "short"]
    wrong = await ingester.get("/frames/", params={"exposure_time": "abc"})
    assert (wrong.status_code, wrong.json()) == (400, {"exposure_time": ["Enter a number."]})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("start=2024-01-01&end=2024-01-01", ["midnight"]),
        ("start=2024-01-01T00:00:00Z&end=2024-01-02T00:00:00", ["midnight", "noon"]),
        ("start=2024-01-01T02:00:00%2B02:00&end=2024-01-01", ["midnight"]),
        ("start=&end=2024-01-02", ["midnight", "noon"]),
        ("start=01/01/2024&end=01/02/2024", ["midnight", "noon"]),
        ("start=2024-01-01T12:00", ["noon"]),
    ],
)
async def test_A15_times_are_inclusive_and_freely_written(
    ingester: httpx.AsyncClient, query: str, expected: list[str]
) -> None:
    await post(ingester, "midnight", observation_date="2024-01-01T00:00:00Z")
    await post(ingester, "noon", observation_date="2024-01-01T12:00:00Z")
    answer = await ingester.get(f"/frames/?{query}")
    assert answer.status_code == 200
    assert sorted(row["basename"] for row in answer.json()["results"]) == expected


async def test_A15_text_that_is_no_time_is_refused(ingester: httpx.AsyncClient) -> None:
    wrong = await ingester.get("/frames/?start=zzz")
    assert (wrong.status_code, wrong.json()) == (400, {"start": ["Enter a valid date/time."]})
    assert (await ingester.get("/frames/?dayobs=20240101")).status_code == 400


async def test_A16_types_are_included_and_excluded(ingester: httpx.AsyncClient) -> None:
    for kind in ("BIAS", "DARK", "EXPOSE"):
        await post(ingester, kind, configuration_type=kind)
    both = {"include_configuration_type": ["BIAS", "DARK"]}
    assert await names(ingester, **both) == ["BIAS", "DARK"]
    assert await names(ingester, configuration_type=["BIAS", "DARK"]) == ["DARK"]
    assert await names(ingester, exclude_OBSTYPE="BIAS") == ["DARK", "EXPOSE"]
    assert await names(ingester, exclude_calibrations="true") == ["EXPOSE"]
    assert await names(ingester, configuration_type="ODD") == []
    comma = await ingester.get("/frames/", params={"include_configuration_type": "BIAS,DARK"})
    assert comma.status_code == 400


async def test_A17_empty_filters_change_nothing(ingester: httpx.AsyncClient) -> None:
    await post(ingester, "a1")
    query = "request_id=&covers=&site_id=&start=&public=&limit=&ordering=&include_configuration_type="
    answer = await ingester.get(f"/frames/?{query}")
    assert [row["basename"] for row in answer.json()["results"]] == ["a1"]


async def test_A17_numbers_may_be_written_with_a_point(ingester: httpx.AsyncClient) -> None:
    await post(ingester, "a1")
    assert await names(ingester, request_id="88.0") == ["a1"]
    wrong = await ingester.get("/frames/", params={"request_id": "x"})
    assert wrong.json() == {"request_id": ["Enter a number."]}


async def test_target_names_are_found_with_and_without_accents(ingester: httpx.AsyncClient) -> None:
    await post(ingester, "accent", target_name="Ångström")
    await post(ingester, "plain", target_name="Angstrom")
    await post(ingester, "none", target_name="")
    assert await names(ingester, target_name="Ångström") == ["accent", "plain"]
    assert await names(ingester, OBJECT="angstrom") == ["plain"]
    assert await names(ingester, empty_target_name="false") == ["none"]


async def test_A42_submitters_are_found_exactly(ingester: httpx.AsyncClient) -> None:
    await post(ingester, "a1")
    assert await names(ingester, submitter="alice") == ["a1"]
    assert await names(ingester, submitter="ALICE") == []


async def test_A33_headers_keep_their_types(ingester: httpx.AsyncClient) -> None:
    headers = {"AIRMASS": 1.25, "TRACKING": True, "NAXIS1": 64, "OBJECT": "M\x0051", "NONE": None}
    frame = await post(ingester, "a1", headers=headers)
    shown = (await ingester.get(f"/frames/{frame['id']}/headers/")).json()["data"]
    assert shown == headers | {"OBJECT": "M51"}
    assert [type(shown[key]) for key in ("AIRMASS", "TRACKING", "NAXIS1")] == [float, bool, int]
    wrong = await ingester.post("/frames/", json=record("b1", headers=[1]))
    assert wrong.status_code == 400


async def test_A34_both_spellings_of_addresses_are_served_directly(ingester: httpx.AsyncClient) -> None:
    answer = await ingester.post("/frames", json=record("a1"))
    assert answer.status_code == 201
    for address in (
        "/frames?limit=1",
        f"/frames/{answer.json()['id']}",
        "/archive/frames",
        "/archive/frames/",
    ):
        assert (await ingester.get(address)).status_code == 200


async def test_A43_a_bad_token_is_not_anonymous(app: TestApp) -> None:
    async with app.client("zzz") as stranger:
        assert (await stranger.get("/frames/")).status_code == 401
    async with app.client(Authorization="Bearer nobody") as stranger:
        answer = await stranger.get("/frames/")
        assert (answer.status_code, answer.json()) == (401, {"detail": "No Such User"})


async def test_A44_long_keys_are_taken_and_long_sites_only_by_setting(
    app: TestApp, ingester: httpx.AsyncClient
) -> None:
    body = record("a1")
    body["version_set"][0]["key"] = "k" * 64
    assert (await ingester.post("/frames/", json=body)).status_code == 201
    refused = await ingester.post("/frames/", json=record("b1", site_id="saaao"))
    assert refused.json() == {"site_id": ["Ensure this field has no more than 3 characters."]}
    app.runtime.settings.site_code_length = 5
    try:
        assert (await ingester.post("/frames/", json=record("b1", site_id="saaao"))).status_code == 201
    finally:
        app.runtime.settings.site_code_length = 3


async def test_ids_that_are_no_numbers_are_not_found(anonymous: httpx.AsyncClient) -> None:
    for address in ("/frames/abc/", "/frames/999999/", "/thumbnails/x/", "/frames/99999999999999999999/"):
        answer = await anonymous.get(address)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


async def test_I35_names_that_leave_their_folder_are_refused(ingester: httpx.AsyncClient) -> None:
    for changes in ({"site_id": "../"}, {"basename": "a/b"}, {"basename": ".."}, {"instrument_id": "a\x07"}):
        answer = await ingester.post("/frames/", json=record() | changes)
        assert answer.status_code == 400
        assert list(answer.json()) == list(changes)
    night = await ingester.post("/frames/", json=record(headers={"DAY-OBS": "../../etc"}))
    assert night.status_code == 400


async def test_storing_a_frame_is_announced(app: TestApp, ingester: httpx.AsyncClient) -> None:
    from ocs.kernel import changes

    async with app.runtime.database.read() as session:
        _, before = await changes.last_change(session, "frames")
    await post(ingester, "a1")
    async with app.runtime.database.read() as session:
        _, after = await changes.last_change(session, "frames")
    assert after > before


async def test_a_refused_frame_leaves_nothing(app: TestApp, ingester: httpx.AsyncClient) -> None:
    body = record("a1")
    await ingester.post("/frames/", json=body)
    again = body | {"basename": "b1", "related_frame_filenames": ["c1"]}
    assert (await ingester.post("/frames/", json=again)).status_code == 400
    answer = await ingester.post("/frames/", json=record("c1"))
    assert answer.json()["related_frames"] == []
