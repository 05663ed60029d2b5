"""Regions on the sky: reading them, a box to find them by, and exact tests with great-circle edges.

Pure functions on arrays. Longitudes and latitudes are RA and Dec in degrees; unit vectors have shape (n, 3).
A region is bounded by great circles and is the smaller side of its ring. It is projected gnomonically about
its centre, where great circles are straight lines; what is 90 deg or more away is outside.
"""

import math
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

Vectors = NDArray[np.float64]
Box = tuple[tuple[float, float], tuple[float, float]]

_EDGE = 1e-12  # how far from an edge, in the tangent plane, still counts as on it (0.2 microarcseconds)
_STEP_DEG = 5.0  # pieces of long lines, so that each lies on one side of a projection's horizon
_HORIZON_COS = math.cos(math.radians(89.9))
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TOKEN = re.compile(rf"\s*(?:({_NUMBER})|([(),]))")
_KINDS = {"POINT": 0, "LINESTRING": 1, "POLYGON": 2}
_WKB_KINDS = {1: "POINT", 2: "LINESTRING", 3: "POLYGON"}


@dataclass(frozen=True)
class Shape:
    """A point, a line, or a polygon.

    Attributes
    ----------
    dimension
        0, 1 or 2.
    rings
        One array of unit vectors for a point or line; outer ring and holes, each closed, for a polygon.
    """

    dimension: int
    rings: tuple[Vectors, ...]


def unit_vectors(positions: Sequence[Sequence[float]] | Vectors) -> Vectors:
    """Return unit vectors, shape (n, 3), of (RA, Dec) pairs in degrees."""
    ra, dec = np.radians(np.asarray(positions, dtype=float)).T[:2]
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


# --- reading ---------------------------------------------------------------------------------------------


def read_polygon(value: Any) -> dict[str, Any]:
    """Check a GeoJSON Polygon, given as an object or as its text, and return it with plain numbers.

    Raises
    ------
    ValueError
        With one sentence.
    """
    try:
        if isinstance(value, str | bytes):
            value = orjson.loads(value)
        if value["type"] != "Polygon":
            raise ValueError("not a Polygon")
        rings = [[[float(number) for number in position[:2]] for position in r] for r in value["coordinates"]]
        for ring in rings:
            if len(ring) < 4 or ring[0] != ring[-1]:
                raise ValueError("a ring needs at least four positions, and the last must equal the first")
            for ra, dec in ring:
                if not math.isfinite(ra) or not -90 <= dec <= 90:
                    raise ValueError("RA must be a number, and Dec lie within -90 to 90 degrees")
        if not rings:
            raise ValueError("it has no ring")
    except (TypeError, KeyError, ValueError, IndexError) as error:
        reason = f" ({error})" if type(error) is ValueError else ""
        raise ValueError(f"Invalid polygon: {value}{reason}") from None
    return {"type": "Polygon", "coordinates": rings}


def normalised(polygon: dict[str, Any]) -> dict[str, Any]:
    """Return `polygon` with each RA in -180..180 deg."""
    return {
        "type": "Polygon",
        "coordinates": [
            [[ra if -180 <= ra <= 180 else ra - 360 * math.floor((ra + 180) / 360), dec] for ra, dec in ring]
            for ring in polygon["coordinates"]
        ],
    }


def read_shapes(text: str) -> list[Shape] | None:
    """Read WKT (with or without ``SRID=4326;``), hexadecimal WKB, or GeoJSON.

    Returns
    -------
    list of Shape or None
        The parts of the geometry; None when it leaves the sky (Dec beyond 90 deg), so that nothing matches.

    Raises
    ------
    ValueError
        When the text is none of them.
    """
    text = text.strip()
    if text.startswith("{"):
        parts = _from_geojson(text)
    elif re.fullmatch(r"[0-9A-Fa-f]{10,}", text):
        parts = _from_wkb(bytes.fromhex(text))
    else:
        parts = _from_wkt(re.sub(r"^SRID=\d+;", "", text, flags=re.IGNORECASE).strip())
    shapes = []
    for kind, rings in parts:
        dimension = _KINDS[kind]
        try:
            lines = [np.asarray(ring, dtype=float) for ring in rings]
        except (TypeError, ValueError) as error:
            raise ValueError("a position that is not a pair of numbers") from error
        if not lines or any(line.ndim != 2 or line.shape[1] < 2 for line in lines):
            raise ValueError("a position that is not a pair of numbers")
        if any(len(line) < (1, 2, 4)[dimension] or not np.isfinite(line).all() for line in lines):
            raise ValueError(f"a {kind} with too few positions, or one that is not finite")
        if dimension == 2 and any((line[0] != line[-1]).any() for line in lines):
            raise ValueError("a ring that is not closed")
        if any((np.abs(line[:, 1]) > 90).any() for line in lines):
            return None
        shapes.append(Shape(dimension, tuple(unit_vectors(line) for line in lines)))
    if not shapes:
        raise ValueError("an empty geometry")
    return shapes


_Parts = list[tuple[str, Any]]


def _split_multi(kind: str, coordinates: Any) -> _Parts:
    """Return the single parts; each has its rings as a list of lists of positions."""
    single = kind.removeprefix("MULTI")
    if single not in _KINDS:
        raise ValueError(f"unknown geometry {kind}")
    if single != kind:
        return [part for item in coordinates for part in _split_multi(single, item)]
    if kind == "POINT":
        return [(kind, [[coordinates]])]
    return [(kind, [coordinates] if kind == "LINESTRING" else coordinates)]


def _from_geojson(text: str) -> _Parts:
    try:
        value = orjson.loads(text)
        return _split_multi(str(value["type"]).upper(), value["coordinates"])
    except (KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ValueError("not a GeoJSON geometry") from error


def _from_wkt(text: str) -> _Parts:
    match = re.match(r"([A-Za-z]+)\s*(?=\()", text)
    if match is None:
        raise ValueError("not a geometry")
    kind = match.group(1).upper()
    tree, end = _parentheses(text, match.end())
    if text[end:].strip():
        raise ValueError("text after the geometry")
    if kind == "POINT":
        tree = tree[0]
    elif kind == "MULTIPOINT":  # both POINTs with and without their own parentheses are in use
        tree = [item[0] if isinstance(item[0], list) else item for item in tree]
    return _split_multi(kind, tree)


def _parentheses(text: str, start: int, depth: int = 0) -> tuple[Any, int]:
    """Read `(…)` into nested lists: positions are lists of numbers."""
    if depth > 3:
        raise ValueError("too many parentheses")
    items: list[Any] = []
    current: list[Any] = []
    position = text.index("(", start) + 1
    while match := _TOKEN.match(text, position):
        number, mark = match.groups()
        if number:
            current.append(float(number))
        elif mark == "(":
            if current:
                break
            child, end = _parentheses(text, match.start(2), depth + 1)
            items.append(child)
            position = end
            if (after := _TOKEN.match(text, position)) and after.group(2) == ",":
                position = after.end()
            continue
        else:
            if current:
                if len(current) < 2:
                    break
                items.append(current)
                current = []
            if mark == ")":
                if not items:
                    break
                return items, match.end()
        position = match.end()
    raise ValueError("positions must be written as RA DEC, RA DEC within parentheses")


def _from_wkb(data: bytes) -> _Parts:
    position = 0

    def take(code: str) -> tuple[Any, ...]:
        nonlocal position
        values = struct.unpack_from(order + code, data, position)
        position += struct.calcsize(order + code)
        return values

    def points(dimensions: int) -> list[Any]:
        (count,) = take("I")
        if count > len(data):
            raise ValueError("too many positions")
        return [list(take(f"{dimensions}d")) for _ in range(count)]

    try:
        order = "<" if data[0] == 1 else ">"
        position = 1
        (kind,) = take("I")
        if kind & 0x20000000:
            take("I")
        dimensions = 2 + bool(kind & 0x80000000) + bool(kind & 0x40000000)
        name = _WKB_KINDS.get(kind & 0xFF)
        if name == "POINT":
            rings = [[list(take(f"{dimensions}d"))]]
        elif name == "LINESTRING":
            rings = [points(dimensions)]
        elif name == "POLYGON":
            (count,) = take("I")
            if count > len(data):
                raise ValueError("too many rings")
            rings = [points(dimensions) for _ in range(count)]
        else:
            raise ValueError("unknown geometry")
    except (struct.error, IndexError) as error:
        raise ValueError("WKB that is cut off") from error
    return [(name, rings)]


# --- the box to find them by -----------------------------------------------------------------------------


def boxes(vectors: Vectors) -> tuple[Box, Box]:
    """Return the boxes, in the planes (x, y) and (y, z), of the smallest cap about the centre of `vectors`.

    The cap holds all great-circle edges between the vectors, and has no special case at the poles or RA 0.
    """
    centre = _centre(vectors)
    cos_r = float(np.clip((vectors @ centre).min(), -1, 1))
    sin_r = math.sqrt(1 - cos_r * cos_r)
    if cos_r <= 0:
        low, high = [-1.0] * 3, [1.0] * 3
    else:
        spread = [math.sqrt(max(0.0, 1 - c * c)) * sin_r for c in centre]
        high = [1.0 if c >= cos_r else c * cos_r + s for c, s in zip(centre, spread, strict=True)]
        low = [-1.0 if -c >= cos_r else c * cos_r - s for c, s in zip(centre, spread, strict=True)]
    margin = 1e-9
    low, high = [value - margin for value in low], [value + margin for value in high]
    return ((low[0], low[1]), (high[0], high[1])), ((low[1], low[2]), (high[1], high[2]))


def _centre(vectors: Vectors) -> Vectors:
    # Closed rings name their first corner twice; it must not pull the centre.
    distinct = vectors[:-1] if len(vectors) > 1 and np.array_equal(vectors[0], vectors[-1]) else vectors
    total = distinct.sum(axis=0)
    length = float(np.linalg.norm(total))
    centre: Vectors = total / length if length > 1e-9 else distinct[0]
    return centre


# --- exact tests -----------------------------------------------------------------------------------------


class Region:
    """A polygon on the sky, projected about its centre."""

    def __init__(self, rings: Sequence[Vectors]) -> None:
        self._centre = _centre(rings[0])
        helper = np.array([0.0, 0.0, 1.0]) if abs(self._centre[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
        east = np.cross(helper, self._centre)
        self._east = east / np.linalg.norm(east)
        self._north = np.cross(self._centre, self._east)
        flat = [self._project(ring) for ring in rings]
        self.usable = all(inside.all() for _, inside in flat)
        self._start = np.concatenate([points[:-1] for points, _ in flat])
        self._end = np.concatenate([points[1:] for points, _ in flat])
        self._corners = rings[0]

    @classmethod
    def of(cls, polygon: dict[str, Any]) -> "Region":
        """Return the region of a GeoJSON Polygon."""
        return cls([unit_vectors(ring) for ring in polygon["coordinates"]])

    def _project(self, vectors: Vectors) -> tuple[Vectors, NDArray[np.bool_]]:
        depth = vectors @ self._centre
        inside = depth > _HORIZON_COS
        safe = np.where(inside, depth, 1.0)
        return np.stack([vectors @ self._east / safe, vectors @ self._north / safe], axis=-1), inside

    def _contains_flat(self, points: Vectors) -> NDArray[np.bool_]:
        """Even-odd test of projected points, shape (n, 2); the border belongs to the region."""
        point = points[:, None, :]
        start, end = self._start[None], self._end[None]
        along, off = end - start, point - start
        cross = along[..., 0] * off[..., 1] - along[..., 1] * off[..., 0]
        length2 = np.maximum((along**2).sum(-1), 1e-300)
        t = np.clip((along * off).sum(-1) / length2, 0, 1)
        distance2 = ((off - t[..., None] * along) ** 2).sum(-1)
        on_edge = (distance2 <= _EDGE**2).any(1)
        upward = (start[..., 1] <= point[..., 1]) & (end[..., 1] > point[..., 1]) & (cross > 0)
        downward = (start[..., 1] > point[..., 1]) & (end[..., 1] <= point[..., 1]) & (cross < 0)
        odd = (upward | downward).sum(1) % 2 == 1
        return np.asarray(odd | on_edge)

    def contains(self, vectors: Vectors) -> NDArray[np.bool_]:
        """Tell which of the directions, shape (n, 3), lie in the region."""
        if not self.usable:
            return np.zeros(len(vectors), dtype=bool)
        points, inside = self._project(vectors)
        return inside & self._contains_flat(points)

    def covers(self, shape: Shape) -> bool:
        """Tell whether no point of `shape` lies outside."""
        corners = np.concatenate(shape.rings)
        if not self.contains(corners).all():
            return False
        if shape.dimension == 0:
            return True
        for ring in shape.rings:
            points, _ = self._project(ring)
            for start, end in pairwise(points):
                # Between two crossings of the border a segment is wholly in or wholly out.
                cuts = np.sort(np.concatenate([[0.0, 1.0], self._crossings(start, end)]))
                middle = (cuts[:-1] + cuts[1:]) / 2
                long = np.diff(cuts) > 1e-9
                pieces = start + middle[long][:, None] * (end - start)
                if len(pieces) and not self._contains_flat(pieces).all():
                    return False
        return True

    def _crossings(self, start: Vectors, end: Vectors) -> Vectors:
        """Return where, from 0 to 1, the segment meets the border."""
        along, edge = end - start, self._end - self._start
        denominator = along[0] * edge[:, 1] - along[1] * edge[:, 0]
        parallel = np.abs(denominator) < 1e-300
        safe = np.where(parallel, 1.0, denominator)
        off = self._start - start
        t = (off[:, 0] * edge[:, 1] - off[:, 1] * edge[:, 0]) / safe
        u = (off[:, 0] * along[1] - off[:, 1] * along[0]) / safe
        tolerance = 1e-12
        hit = ~parallel & (t >= -tolerance) & (t <= 1 + tolerance) & (u >= -tolerance) & (u <= 1 + tolerance)
        found: Vectors = np.clip(t[hit], 0, 1)
        return found

    def intersects(self, shape: Shape) -> bool:
        """Tell whether `shape` and the region share at least a point."""
        if not self.usable:
            return False
        if self.contains(np.concatenate(shape.rings)).any():
            return True
        if shape.dimension == 0:
            return False
        for ring in shape.rings:
            points, inside = self._project(_densified(ring))
            for index in np.flatnonzero(inside[:-1] & inside[1:]):
                if len(self._crossings(points[index], points[index + 1])):
                    return True
        return shape.dimension == 2 and bool(Region(shape.rings).contains(self._corners).any())


def _densified(ring: Vectors) -> Vectors:
    """Return the line with points along its great circles at most `_STEP_DEG` apart."""
    pieces: list[Vectors] = []
    for start, end in pairwise(ring):
        angle = math.acos(max(-1.0, min(1.0, float(start @ end))))
        count = max(1, math.ceil(math.degrees(angle) / _STEP_DEG))
        t = np.arange(count)[:, None] / count
        between = start * np.sin((1 - t) * angle) + end * np.sin(t * angle) if count > 1 else start[None]
        pieces.append(between / np.linalg.norm(between, axis=1, keepdims=True))
    return np.concatenate([*pieces, ring[-1:]])


def select_matching(
    candidates: Iterable[tuple[int, dict[str, Any]]], covers: Sequence[Shape], intersects: Sequence[Shape]
) -> list[int]:
    """Return the ids of the polygons that cover all of `covers` and meet one of `intersects`.

    Either list may be empty, which asks for nothing.
    """
    return [
        identifier
        for identifier, polygon in candidates
        if (region := Region.of(polygon))
        and all(region.covers(shape) for shape in covers)
        and (not intersects or any(region.intersects(shape) for shape in intersects))
    ]
