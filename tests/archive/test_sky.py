"""Finding frames by where they are; numbers are those of the archive contract's behaviours."""

import httpx
import numpy as np
import pytest

from ocs.archive import sky
from tests.support.archive import names, post, record

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
OVER_ZERO = [[350, -10], [10, -10], [10, 10], [350, 10], [350, -10]]
POLE = [[0, 80], [90, 80], [180, 80], [270, 80], [0, 80]]
BAND = [[0, 50], [40, 50], [40, 60], [0, 60], [0, 50]]


def polygon(ring: list[list[float]]) -> dict[str, object]:
    return {"type": "Polygon", "coordinates": [ring]}


@pytest.mark.parametrize(
    ("ring", "inside", "outside"),
    [
        pytest.param(SQUARE, ["5 5", "0 0", "10 10", "365 5"], ["50 50", "5 95"], id="A18"),
        pytest.param(OVER_ZERO, ["0 0", "359 0", "-1 0", "5 0"], ["340 0", "180 0"], id="A19"),
        pytest.param(
            [[-10, -10], [10, -10], [10, 10], [-10, 10], [-10, -10]], ["355 0"], ["340 0"], id="A19b"
        ),
        pytest.param(POLE, ["0 90", "45 83.5", "45 89"], ["45 81"], id="A20"),
        pytest.param([[ra, -dec] for ra, dec in POLE], ["0 -90", "45 -83.5"], ["45 -81"], id="A20south"),
        pytest.param(BAND, ["20 60.5"], ["20 50.5", "20 61.9"], id="A21"),
        pytest.param(
            [[179, -1], [181, -1], [181, 1], [179, 1], [179, -1]], ["180 0", "-179.5 0"], ["0 0"], id="RA180"
        ),
        pytest.param([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]], ["0.1 0.5", "0.9 0.5"], ["0.5 0.9"], id="bow"),
    ],
)
async def test_A18_to_A21_areas_have_great_circles_as_edges(
    ingester: httpx.AsyncClient, ring: list[list[float]], inside: list[str], outside: list[str]
) -> None:
    for name, positions in (("there", ring), ("reversed", ring[::-1])):
        await post(ingester, name, area=polygon(positions))
    await post(ingester, "nowhere")
    for point in inside:
        assert await names(ingester, covers=f"POINT({point})") == ["reversed", "there"], point
    for point in outside:
        assert await names(ingester, covers=f"POINT({point})") == [], point


@pytest.mark.parametrize(
    ("shape", "meets"),
    [
        ("POLYGON((-10 -10,-10 20,20 20,20 0,-10 -10))", True),
        ("LINESTRING(-5 5,5 5)", True),
        ("LINESTRING(-40 5,40 5)", True),
        ("POLYGON((-30 -30,40 -30,40 40,-30 40,-30 -30))", True),
        ("POLYGON((4 4,5 4,5 5,4 4))", True),
        ("SRID=4326;POINT(0 5)", True),
        ("POLYGON((20 20,30 20,30 30,20 20))", False),
        ("LINESTRING(180 -5,180 5)", False),
        ("POINT(190 5)", False),
    ],
)
async def test_A22_shapes_meet_areas(ingester: httpx.AsyncClient, shape: str, meets: bool) -> None:
    await post(ingester, "a1", area=polygon(SQUARE))
    assert await names(ingester, intersects=shape) == (["a1"] if meets else [])


async def test_a_shape_is_covered_when_no_part_of_it_is_outside(ingester: httpx.AsyncClient) -> None:
    notched = [[0, 0], [10, 0], [10, 10], [6, 10], [6, 4], [4, 4], [4, 10], [0, 10], [0, 0]]
    await post(ingester, "a1", area=polygon(notched))
    assert await names(ingester, covers="LINESTRING(1 8,1 1,9 1,9 8)") == ["a1"]
    assert await names(ingester, covers="LINESTRING(2 8,8 8)") == []
    assert await names(ingester, covers='{"type":"Polygon","coordinates":[[[1,1],[2,1],[2,2],[1,1]]]}') == [
        "a1"
    ]


@pytest.mark.parametrize(
    "value", ["POINT(150)", "foo", "POINT(a b)", "POLYGON((0 0,1 1,2 2,3 3))", "{}", "POINT((1 2))"]
)
async def test_A23_shapes_that_cannot_be_read_are_refused(ingester: httpx.AsyncClient, value: str) -> None:
    for parameter in ("covers", "intersects"):
        answer = await ingester.get("/frames/", params={parameter: value})
        assert answer.status_code == 400
        (reason,) = answer.json()
        assert parameter in reason


@pytest.mark.parametrize(
    "area",
    [
        polygon(SQUARE[:-1]),
        polygon([[0, 0], [10, 0], [10, 91], [0, 0]]),
        {"type": "MultiPolygon", "coordinates": [[SQUARE]]},
        {"type": "Odd"},
        {"type": "Polygon", "coordinates": []},
        [1, 2],
        "text",
    ],
)
async def test_A23_areas_that_are_no_polygons_are_refused(ingester: httpx.AsyncClient, area: object) -> None:
    answer = await ingester.post("/frames/", json=record(area=area))
    assert answer.status_code == 400
    assert answer.json()["area"][0].startswith("Invalid polygon")


async def test_A23_right_ascension_is_read_back_within_one_turn(ingester: httpx.AsyncClient) -> None:
    posted = polygon([[200, 0], [201, 0], [201, 1], [200, 0]])
    frame = await post(ingester, "a1", area=posted)
    assert frame["area"]["coordinates"] == posted["coordinates"]
    read = (await ingester.get(f"/frames/{frame['id']}/")).json()["area"]
    assert read["coordinates"][0][0] == [-160, 0]


async def test_A24_a_frame_without_area_has_no_such_key(ingester: httpx.AsyncClient) -> None:
    assert (await post(ingester, "a1"))["area"] is None
    (row,) = (await ingester.get("/frames/")).json()["results"]
    assert "area" not in row


def test_boxes_hold_what_regions_hold() -> None:
    """The box by which frames are found must not lose a point the exact test would find."""
    random = np.random.default_rng(20240315)
    for _ in range(300):
        ra, dec = random.uniform(0, 360), np.degrees(np.arcsin(random.uniform(-1, 1)))
        size = 10 ** random.uniform(-2, 1.3)
        corners = np.clip(
            np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * size + [ra, dec], None, [720, 90]
        )
        corners[:, 1] = np.clip(corners[:, 1], -90, 90)
        vectors = sky.unit_vectors(corners)
        region = sky.Region([vectors])
        points = random.normal(size=(200, 3)) * np.radians(size) * 1.5 + vectors[:-1].mean(axis=0)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        (x1, y1), (x2, y2) = sky.boxes(vectors)[0]
        (_, z1), (_, z2) = sky.boxes(vectors)[1]
        inside = ((points >= [x1, y1, z1]) & (points <= [x2, y2, z2])).all(axis=1)
        assert not (region.contains(points) & ~inside).any()
