"""Answers of the visibility engine as ready bytes, computed piece by piece so that none is large.

Pure functions: they run in a thread, and in the bench without a server.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from ocs import visibility
from ocs.visibility import Constraints, Night, RowError, Site, TargetBatch, Visibility

PIECE_TARGET_DAYS = 50_000  # targets x sites x days computed at once: some 0.1 s and 20 MB
_DAY_US = 86_400_000_000
_UNLIMITED = {"ha_limit_neg_h": -12.0, "ha_limit_pos_h": 12.0, "zenith_blind_spot_deg": 0.0}
_BUDGET = ",".join(f'{{"constraint":"{name}","seconds_left":%.3f}}' for name in visibility.BUDGET_STEPS)


@dataclass(frozen=True)
class Question:
    """Which targets, from where, when.

    Attributes
    ----------
    sites
        S labels and places.
    targets, constraints
        T wire objects each.
    start_us, end_us
        Window, microseconds UTC.
    twilight
        How dark it must be.
    sample_every_us
        Step of the samples over the whole window, None for no samples.
    """

    sites: Sequence[tuple[str, Site]]
    targets: Sequence[Mapping[str, Any]]
    constraints: Sequence[Mapping[str, Any]]
    start_us: int
    end_us: int
    twilight: str = "nautical"
    sample_every_us: int | None = None

    @property
    def days(self) -> float:
        """Length of the window."""
        return max(self.end_us - self.start_us, 0) / _DAY_US

    @property
    def samples_each(self) -> int:
        """Number of samples per target and site."""
        if self.sample_every_us is None:
            return 0
        return -(-max(self.end_us - self.start_us, 0) // self.sample_every_us)


class Rows:
    """Some targets of a question as arrays; the same ones are looked at from several sites."""

    def __init__(self, question: Question, first: int, count: int) -> None:
        self.first = first
        self._targets = list(question.targets[first : first + count])
        self._constraints = question.constraints[first : first + count]

    def __len__(self) -> int:
        return len(self._targets)

    @cached_property
    def limits(self) -> Constraints:
        """The constraints, one row per target."""
        return Constraints.from_wire(self._constraints)

    @cached_property
    def with_darkness(self) -> tuple[TargetBatch, Constraints]:
        """The targets without Moon limits, and behind them a row that is observable whenever it is dark."""
        batch = TargetBatch.from_wire([*self._targets, {"type": "HOUR_ANGLE"}])
        return batch, Constraints(np.append(np.asarray(self.limits.max_airmass), 0.0), 0.0, 1.0)

    @cached_property
    def with_moon(self) -> tuple[TargetBatch, Constraints]:
        """The targets three times: without Moon limits, with the distance, with distance and phase.

        The second is left out where no target has a limit on the phase: it is the third then.
        """
        distance, phase = (
            np.asarray(self.limits.min_lunar_distance_deg),
            np.asarray(self.limits.max_lunar_phase),
        )
        none, any_phase = np.zeros(len(self)), np.ones(len(self))
        distances, phases = [none, distance], [any_phase, phase]
        if (phase < 1).any():
            distances.insert(1, distance)
            phases.insert(1, any_phase)
        copies = len(phases)
        return TargetBatch.from_wire(self._targets * copies), Constraints(
            np.tile(np.asarray(self.limits.max_airmass), copies),
            np.concatenate(distances),
            np.concatenate(phases),
        )


@dataclass(frozen=True)
class Piece:
    """Some targets from some sites of a question."""

    question: Question
    rows: Rows
    sites: Sequence[tuple[str, Site]]

    def text(self) -> bytes:
        """Return the results as JSON objects with commas between them, sites outermost.

        Raises
        ------
        VisibilityError
            If the window leaves the packaged ephemeris.
        """
        count, places = len(self.rows), [site for _, site in self.sites]
        batch, limits = self.rows.with_moon
        found = self._observable(batch, places, limits)
        errors = found.errors[-count:]
        is_good = np.array([error is None for error in errors])
        seconds = self._budget(found, places)
        seconds[:, ~is_good, 2:] = 0.0
        target = found.owner[:, 0].astype(np.int64) - (len(batch) - count)  # of the last copy of the targets
        is_shown = (target >= 0) & is_good[target % count]
        owner = found.owner[is_shown, 1] * count + target[is_shown]
        order = np.argsort(owner, kind="stable")
        intervals = _interval_texts(found.start[is_shown][order], found.end[is_shown][order])
        edges = np.searchsorted(owner[order], np.arange(count * len(places) + 1)).tolist()
        results = []
        for index, (label, site) in enumerate(self.sites):
            head = f'{{"site":{orjson.dumps(label).decode()},"target":'
            samples = self._samples(site, errors)
            for row, left_s in enumerate(seconds[index].tolist()):
                low, high = edges[index * count + row : index * count + row + 2]
                error = errors[row]
                results.append(
                    f'{head}{self.rows.first + row},"intervals":[{",".join(intervals[low:high])}],'
                    f'"total_seconds":{left_s[-1]:.3f},"budget":[{_BUDGET % tuple(left_s)}]'
                    f"{samples[row] if samples else ''}{_error_text(error) if error else ''}}}"
                )
        return ",".join(results).encode()

    def _observable(self, batch: TargetBatch, places: Sequence[Site], limits: Constraints) -> Visibility:
        asked = self.question
        return visibility.observable(batch, places, asked.start_us, asked.end_us, limits, asked.twilight)

    def _budget(self, found: Visibility, places: Sequence[Site]) -> NDArray[np.float64]:
        """Return seconds left (S, T, 7) after each of the engine's budget steps.

        What the last step leaves is `found` itself, and one row tells the darkness of all, so that this takes
        two looks at each site where the engine's own budget of one site takes six.
        """
        count = len(self.rows)
        after_moon = _seconds(found, len(places)).reshape(-1, count, len(places))
        batch, limits = self.rows.with_darkness
        bare = _seconds(
            self._observable(batch, [replace(site, **_UNLIMITED) for site in places], limits), len(places)
        )
        hour_angle = after_moon[0]
        if any(site.zenith_blind_spot_deg > 0 for site in places):
            whole = [replace(site, zenith_blind_spot_deg=0.0) for site in places]
            hour_angle = _seconds(self._observable(batch, whole, limits), len(places))[:count]
        window = np.full((count, len(places)), self.question.days * 86400)
        dark = np.broadcast_to(bare[count], (count, len(places)))
        steps = (window, dark, bare[:count], hour_angle, after_moon[0], after_moon[1], after_moon[-1])
        return np.stack(steps).transpose(2, 1, 0)

    def _samples(self, site: Site, errors: Sequence[RowError | None]) -> list[str]:
        """Return the samples of each target, with their key; nothing if none are asked for."""
        asked = self.question
        if asked.sample_every_us is None:
            return []
        times_us = asked.start_us + np.arange(asked.samples_each, dtype=np.int64) * asked.sample_every_us
        stamps = _stamps(times_us)
        got = visibility.samples(self.rows.with_darkness[0], site, times_us)
        columns = [
            np.round(column, digits)
            for column, digits in (
                (got.altitude_deg, 5),
                (got.azimuth_deg, 5),
                (got.airmass, 5),
                (got.moon_distance_deg, 4),
            )
        ]
        texts = []
        for row, error in enumerate(errors):
            values = zip(stamps, *(column[row].tolist() for column in columns), strict=True)
            names = ("time", "altitude_deg", "azimuth_deg", "airmass", "moon_distance_deg")
            listed = [] if error else [dict(zip(names, value, strict=True)) for value in values]
            texts.append(f',"samples":{orjson.dumps(listed).decode()}')  # NaN becomes null
        return texts


def pieces(question: Question) -> Iterator[Piece]:
    """Give the parts of a question in the order of its answer."""
    at_once = max(1, int(PIECE_TARGET_DAYS / max(question.days, 1.0)))
    blocks = [
        Rows(question, first, min(at_once, len(question.targets) - first))
        for first in range(0, len(question.targets), at_once)
    ]
    sites_at_once = max(1, at_once // max(len(question.targets), 1))
    for first in range(0, len(question.sites), sites_at_once):
        for rows in blocks:
            yield Piece(question, rows, question.sites[first : first + sites_at_once])


def nights(label: str, found: Sequence[Night]) -> bytes:
    """Return the nights of a site as JSON."""
    return orjson.dumps(
        {
            "site": label,
            "nights": [
                {
                    "middle": _stamp(night.middle_us),
                    "twilights": {
                        kind: {
                            "dusk": _stamp(night.dusk_us[kind]),
                            "dawn": _stamp(night.dawn_us[kind]),
                            "dark_seconds": round(night.dark_s[kind], 3),
                        }
                        for kind in night.dark_s
                    },
                    "moonrise": _stamp(night.moonrise_us),
                    "moonset": _stamp(night.moonset_us),
                    "moon_phase": round(night.moon_phase, 5),
                    "moon_up_dark_seconds": round(night.moon_up_dark_s, 3),
                }
                for night in found
            ],
        }
    )


def _seconds(found: Visibility, sites: int) -> NDArray[np.float64]:
    """Return the observable seconds (rows, S)."""
    owner = found.owner[:, 0].astype(np.int64) * sites + found.owner[:, 1]
    length_s = (found.end - found.start) * 1e-6
    sums = np.bincount(owner, weights=length_s, minlength=len(found.errors) * sites)
    return sums.astype(np.float64).reshape(-1, sites)


def _stamps(times_us: NDArray[np.int64]) -> list[str]:
    """Return ISO times with milliseconds and `Z`."""
    texts = np.datetime_as_string(((times_us + 500) // 1000).astype("datetime64[ms]"), timezone="UTC")
    listed: list[str] = texts.tolist()
    return listed


def _stamp(time_us: int | None) -> str | None:
    return None if time_us is None else _stamps(np.array([time_us]))[0]


def _interval_texts(start_us: NDArray[np.int64], end_us: NDArray[np.int64]) -> list[str]:
    pairs = zip(_stamps(start_us), _stamps(end_us), strict=True)
    return [f'{{"start":"{start}","end":"{end}"}}' for start, end in pairs]


def _error_text(error: RowError) -> str:
    return f',"error":{orjson.dumps({"code": error.code, "message": error.message}).decode()}'
