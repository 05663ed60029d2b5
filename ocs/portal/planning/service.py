"""Questions of people who plan: resolve their sites, keep them within bounds, compute off the event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

import numpy as np
import orjson

from ocs import visibility
from ocs.configdb.api import Observatory, observatory
from ocs.kernel.database import ReadSession
from ocs.kernel.settings import Settings
from ocs.portal.planning import answers
from ocs.portal.planning.answers import Question
from ocs.portal.planning.errors import NotComputable, SiteNotFound, TooMuch, UnusableSites
from ocs.portal.planning.schemas import SiteIn, SkyFilters, SpanFilters, VisibilityIn

T = TypeVar("T")

MAX_SAMPLES = 100_000
MAX_PIXEL_DAYS = 12 * 64**2 * 100

# One thread: however many strangers ask, planning takes one core and the memory of one piece.
_astronomer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="planning")


async def _compute(function: Callable[[], T]) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(_astronomer, function)
    except visibility.VisibilityError as error:
        raise NotComputable(str(error)) from error


async def ask(session: ReadSession, settings: Settings, sent: VisibilityIn) -> Question:
    """Return the question with its sites resolved.

    Raises
    ------
    TooMuch
        When it is beyond what one call may ask.
    UnusableSites
        When a site is not configured.
    """
    question = Question(
        sites=await _places(session, sent.sites),
        targets=[row.target for row in sent.targets],
        constraints=[row.constraints for row in sent.targets],
        start_us=visibility.from_datetime(sent.window.start),
        end_us=visibility.from_datetime(sent.window.end),
        twilight=sent.twilight,
        sample_every_us=None if sent.sample_every_s is None else round(sent.sample_every_s * 1e6),
    )
    pairs = len(question.sites) * len(question.targets)
    if pairs > settings.visibility_max_pairs:
        raise TooMuch(
            "targets",
            f"At most {settings.visibility_max_pairs} targets x sites can be asked for at once, not {pairs}; "
            "send several requests.",
        )
    _check_days(settings, "window", sent.window.start, sent.window.end)
    if pairs * question.samples_each > MAX_SAMPLES:
        raise TooMuch(
            "sample_every_s",
            f"At most {MAX_SAMPLES} samples can be asked for at once, not {pairs * question.samples_each}; "
            "make the step longer, the window shorter or the targets fewer.",
        )
    return question


def _check_days(settings: Settings, field: str, start_utc: datetime, end_utc: datetime) -> None:
    if (end_utc - start_utc).total_seconds() > settings.visibility_max_days * 86400:
        raise TooMuch(field, f"Start and end can be at most {settings.visibility_max_days} days apart.")


async def _places(session: ReadSession, sites: list[SiteIn]) -> list[tuple[str, visibility.Site]]:
    found = await observatory(session) if any(site.is_configured for site in sites) else None
    places = [
        _configured(found, site.code)
        if found is not None and site.is_configured
        else (
            site.code,
            visibility.Site(
                site.latitude or 0.0,
                site.longitude or 0.0,
                site.altitude,
                site.horizon,
                site.ha_limit_neg,
                site.ha_limit_pos,
                site.zenith_blind_spot,
            ),
        )
        for site in sites
    ]
    if any(isinstance(place, str) for place in places):
        raise UnusableSites([place if isinstance(place, str) else None for place in places])
    return [place for place in places if not isinstance(place, str)]


def _configured(found: Observatory, code: str) -> tuple[str, visibility.Site] | str:
    """Return code and place of a configured site with the limits of its first telescope, or why not."""
    telescopes = [item for item in found.telescopes if item.site.code.lower() == code.lower()]
    telescope = next((item for item in telescopes if item.is_active), None)
    if telescope is None:
        if any(site.code.lower() == code.lower() for site in found.sites):
            return f"The site {code} has no active telescope."
        return f"There is no site {code}; give latitude and longitude for a place of your own."
    return telescope.site.code, visibility.Site(
        telescope.lat_deg,
        telescope.lon_deg,
        telescope.site.elevation_m,
        telescope.horizon_deg,
        telescope.ha_limit_neg_h,
        telescope.ha_limit_pos_h,
        telescope.zenith_blind_spot_deg,
    )


async def _site(session: ReadSession, code: str) -> tuple[str, visibility.Site]:
    place = _configured(await observatory(session), code)
    if isinstance(place, str):
        raise SiteNotFound(place)
    return place


async def answer(question: Question) -> AsyncIterator[bytes]:
    """Give the answer in parts; nothing of it is kept."""
    before = b'{"results":['
    for piece in answers.pieces(question):
        yield before + await _compute(piece.text)
        before = b","
    yield b"]}" if before == b"," else before + b"]}"


async def nights(session: ReadSession, settings: Settings, code: str, span: SpanFilters) -> bytes:
    """Return the nights whose middle lies in `span`."""
    _check_days(settings, "end", span.start, span.end)
    label, site = await _site(session, code)
    start_us, end_us = visibility.from_datetime(span.start), visibility.from_datetime(span.end)
    return await _compute(lambda: answers.nights(label, visibility.nights(site, start_us, end_us)))


async def sky_map(session: ReadSession, settings: Settings, asked: SkyFilters) -> bytes:
    """Return the fraction of dark time that each pixel of the sky is up."""
    _check_days(settings, "end", asked.start, asked.end)
    days = (asked.end - asked.start).total_seconds() / 86400
    if 12 * asked.nside**2 * days > MAX_PIXEL_DAYS:
        most = MAX_PIXEL_DAYS // (12 * asked.nside**2)
        raise TooMuch("nside", f"With nside {asked.nside} a map can cover at most {most} days.")
    label, site = await _site(session, asked.site)
    start_us, end_us = visibility.from_datetime(asked.start), visibility.from_datetime(asked.end)

    def compute() -> bytes:
        fractions = visibility.sky_fraction(
            site, start_us, end_us, asked.nside, asked.order == "nested", asked.max_airmass
        )
        shown = {
            "site": label,
            "nside": asked.nside,
            "order": asked.order,
            "fractions": np.round(fractions, 4),
        }
        return orjson.dumps(shown, option=orjson.OPT_SERIALIZE_NUMPY)

    return await _compute(compute)
