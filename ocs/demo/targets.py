"""What the demo's astronomers ask for: real objects, as payloads of ``POST /api/requestgroups/``."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ocs.demo.network import semesters

REACH_DEG = 45.0
"""Largest zenith distance at culmination of a target the demo asks for."""
NIGHT_HOURS = 4.5
"""Smallest difference in right ascension from the Sun, so that a target is up in the dark."""

SITE_LATITUDES_DEG = {"1m0": (30.7, -32.4), "0m4": (30.7, -31.3), "spectrograph": (30.7,)}


@dataclass(frozen=True)
class Target:
    """A catalogue position, ICRS, degrees."""

    name: str
    ra_deg: float
    dec_deg: float


def _catalogue(text: str) -> tuple[Target, ...]:
    """Read lines of ``name | hh mm ss.s | +dd mm ss``."""
    targets = []
    for line in text.strip().splitlines():
        name, ra, dec = (column.strip() for column in line.split("|"))
        h, m, s = map(float, ra.split())
        d, arcmin, arcsec = (abs(float(part)) for part in dec.split())
        sign = -1.0 if dec.startswith("-") else 1.0
        targets.append(Target(name, 15.0 * (h + m / 60 + s / 3600), sign * (d + arcmin / 60 + arcsec / 3600)))
    return tuple(targets)


GALAXIES_AND_NEBULAE = _catalogue("""
    M1       | 05 34 31.9 | +22 00 52
    M8       | 18 03 37.0 | -24 23 12
    M16      | 18 18 48.0 | -13 48 24
    M17      | 18 20 26.0 | -16 10 36
    M20      | 18 02 42.0 | -22 58 18
    M27      | 19 59 36.3 | +22 43 16
    M31      | 00 42 44.3 | +41 16 09
    M33      | 01 33 50.9 | +30 39 37
    M42      | 05 35 17.3 | -05 23 28
    M51      | 13 29 52.7 | +47 11 43
    M57      | 18 53 35.1 | +33 01 45
    M58      | 12 37 43.5 | +11 49 05
    M61      | 12 21 54.9 | +04 28 25
    M63      | 13 15 49.3 | +42 01 45
    M64      | 12 56 43.7 | +21 40 58
    M65      | 11 18 55.9 | +13 05 32
    M66      | 11 20 15.0 | +12 59 30
    M74      | 01 36 41.8 | +15 47 01
    M76      | 01 42 19.7 | +51 34 32
    M77      | 02 42 40.7 | -00 00 48
    M78      | 05 46 46.7 | +00 00 50
    M81      | 09 55 33.2 | +69 03 55
    M82      | 09 55 52.7 | +69 40 46
    M83      | 13 37 00.9 | -29 51 56
    M87      | 12 30 49.4 | +12 23 28
    M94      | 12 50 53.1 | +41 07 14
    M95      | 10 43 57.7 | +11 42 14
    M96      | 10 46 45.7 | +11 49 12
    M97      | 11 14 47.7 | +55 01 09
    M99      | 12 18 49.6 | +14 25 00
    M100     | 12 22 54.9 | +15 49 21
    M101     | 14 03 12.6 | +54 20 57
    M104     | 12 39 59.4 | -11 37 23
    M106     | 12 18 57.5 | +47 18 14
    M108     | 11 11 31.0 | +55 40 27
    M109     | 11 57 36.0 | +53 22 28
    M110     | 00 40 22.1 | +41 41 07
    NGC 55   | 00 14 53.6 | -39 11 48
    NGC 247  | 00 47 08.5 | -20 45 37
    NGC 253  | 00 47 33.1 | -25 17 18
    NGC 300  | 00 54 53.5 | -37 41 04
    NGC 613  | 01 34 18.2 | -29 25 06
    NGC 891  | 02 22 33.4 | +42 20 57
    NGC 1097 | 02 46 19.1 | -30 16 30
    NGC 1232 | 03 09 45.5 | -20 34 46
    NGC 1300 | 03 19 41.1 | -19 24 41
    NGC 1316 | 03 22 41.7 | -37 12 30
    NGC 1365 | 03 33 36.4 | -36 08 25
    NGC 1399 | 03 38 29.0 | -35 27 02
    NGC 1566 | 04 20 00.4 | -54 56 16
    NGC 2070 | 05 38 42.4 | -69 06 03
    NGC 2403 | 07 36 51.4 | +65 36 09
    NGC 2903 | 09 32 10.1 | +21 30 03
    NGC 2997 | 09 45 38.8 | -31 11 28
    NGC 3132 | 10 07 01.8 | -40 26 11
    NGC 3242 | 10 24 46.1 | -18 38 33
    NGC 3372 | 10 45 08.5 | -59 52 04
    NGC 3621 | 11 18 16.5 | -32 48 51
    NGC 4565 | 12 36 20.8 | +25 59 16
    NGC 4631 | 12 42 08.0 | +32 32 29
    NGC 4945 | 13 05 27.5 | -49 28 06
    NGC 5128 | 13 25 27.6 | -43 01 09
    NGC 6302 | 17 13 44.2 | -37 06 16
    NGC 6543 | 17 58 33.4 | +66 37 59
    NGC 6744 | 19 09 46.1 | -63 51 27
    NGC 6826 | 19 44 48.2 | +50 31 30
    NGC 6946 | 20 34 52.3 | +60 09 14
    NGC 7009 | 21 04 10.9 | -11 21 48
    NGC 7293 | 22 29 38.5 | -20 50 14
    NGC 7331 | 22 37 04.1 | +34 24 56
    NGC 7662 | 23 25 53.9 | +42 32 06
    NGC 7793 | 23 57 49.8 | -32 35 28
""")

CLUSTERS = _catalogue("""
    M2       | 21 33 27.0 | -00 49 24
    M3       | 13 42 11.6 | +28 22 38
    M4       | 16 23 35.2 | -26 31 33
    M5       | 15 18 33.2 | +02 04 52
    M6       | 17 40 20.0 | -32 15 12
    M7       | 17 53 51.0 | -34 47 36
    M9       | 17 19 11.8 | -18 30 58
    M10      | 16 57 09.1 | -04 06 01
    M11      | 18 51 05.0 | -06 16 12
    M12      | 16 47 14.2 | -01 56 55
    M13      | 16 41 41.6 | +36 27 41
    M14      | 17 37 36.1 | -03 14 45
    M15      | 21 29 58.3 | +12 10 01
    M19      | 17 02 37.7 | -26 16 05
    M22      | 18 36 23.9 | -23 54 17
    M30      | 21 40 22.1 | -23 10 47
    M35      | 06 08 54.0 | +24 20 00
    M37      | 05 52 18.0 | +32 33 12
    M45      | 03 47 00.0 | +24 07 00
    M46      | 07 41 46.0 | -14 48 36
    M48      | 08 13 43.0 | -05 45 00
    M53      | 13 12 55.3 | +18 10 05
    M55      | 19 39 59.7 | -30 57 53
    M67      | 08 51 18.0 | +11 48 00
    M68      | 12 39 28.0 | -26 44 39
    M71      | 19 53 46.5 | +18 46 45
    M72      | 20 53 27.7 | -12 32 14
    M79      | 05 24 10.6 | -24 31 27
    M92      | 17 17 07.4 | +43 08 09
    NGC 104  | 00 24 05.7 | -72 04 53
    NGC 288  | 00 52 45.2 | -26 34 57
    NGC 362  | 01 03 14.3 | -70 50 56
    NGC 1851 | 05 14 06.8 | -40 02 48
    NGC 2808 | 09 12 03.1 | -64 51 49
    NGC 5139 | 13 26 47.3 | -47 28 46
    NGC 6397 | 17 40 42.1 | -53 40 28
    NGC 6752 | 19 10 52.1 | -59 59 04
""")

PULSATING_STARS = _catalogue("""
    RR Lyr   | 19 25 27.9 | +42 47 04
    X Ari    | 03 08 30.9 | +10 26 45
    SU Dra   | 11 37 56.6 | +67 19 47
    RX Eri   | 04 49 44.3 | -15 44 28
    XZ Cyg   | 19 32 29.3 | +56 23 17
    DX Del   | 20 47 28.4 | +12 27 51
    SW And   | 00 23 43.1 | +29 24 04
    RR Cet   | 01 32 08.2 | +01 20 30
    V Ind    | 21 11 29.9 | -45 04 28
    U Lep    | 04 56 17.9 | -21 13 02
    del Cep  | 22 29 10.3 | +58 24 55
    eta Aql  | 19 52 28.4 | +01 00 20
    zet Gem  | 07 04 06.5 | +20 34 13
    Mira     | 02 19 20.8 | -02 58 39
    SS Cyg   | 21 42 42.8 | +43 35 10
""")

PLANET_HOSTS = _catalogue("""
    HD 189733  | 20 00 43.7 | +22 42 39
    HD 209458  | 22 03 10.8 | +18 53 04
    HD 149026  | 16 30 29.6 | +38 20 50
    WASP-4     | 23 34 15.1 | -42 03 41
    WASP-12    | 06 30 32.8 | +29 40 20
    WASP-18    | 01 37 25.0 | -45 40 40
    WASP-19    | 09 53 40.1 | -45 39 33
    WASP-33    | 02 26 51.1 | +37 33 02
    WASP-43    | 10 19 38.0 | -09 48 23
    WASP-121   | 07 10 24.1 | -39 05 51
    TrES-2     | 19 07 14.0 | +49 18 59
    TrES-3     | 17 52 07.0 | +37 32 46
    HAT-P-7    | 19 28 59.4 | +47 58 10
    HAT-P-11   | 19 50 50.2 | +48 04 51
    GJ 436     | 11 42 11.1 | +26 42 24
    GJ 1214    | 17 15 18.9 | +04 57 50
    TRAPPIST-1 | 23 06 29.4 | -05 02 29
    Qatar-1    | 20 13 31.6 | +65 09 43
    XO-1       | 16 02 11.8 | +28 10 11
    55 Cnc     | 08 52 35.8 | +28 19 51
""")

STANDARD_STARS = _catalogue("""
    Feige 34   | 10 39 36.7 | +43 06 09
    Feige 110  | 23 19 58.4 | -05 09 56
    BD+28 4211 | 21 51 11.0 | +28 51 50
    BD+33 2642 | 15 51 59.9 | +32 56 54
    GD 71      | 05 52 27.6 | +15 53 14
    GD 153     | 12 57 02.3 | +22 01 53
    G191-B2B   | 05 05 30.6 | +52 49 52
    HZ 44      | 13 23 35.3 | +36 08 00
    EG 131     | 19 20 35.0 | -07 40 00
    Hiltner 600 | 06 45 13.4 | +02 08 15
""")


def request_groups(now: datetime, rng: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Request groups of all proposals whose targets are up at night now, in random order.

    Parameters
    ----------
    now : datetime
        Aware UTC time of the demo's clock; windows open here and close within a week, in one semester.
    rng : random.Random
        Chooses exposure times, filters and order; the same seed gives the same groups.

    Returns
    -------
    list of (str, dict)
        User name of the submitter, and the payload.
    """
    start, end = _season(now)
    groups: list[tuple[str, dict[str, Any]]] = []
    for target in _up(GALAXIES_AND_NEBULAE, now, "1m0"):
        filters = rng.sample(["gp", "rp", "ip", "V", "H-Alpha"], 3)
        exposures = [(f, rng.choice([45.0, 60.0, 90.0, 120.0]), 1) for f in filters]
        window = (start, min(end, start + timedelta(days=rng.choice([3, 5, 7]))))
        request = _request("1m0", [_images("1M0-SCICAM", target, exposures)], window)
        submitter = rng.choice(["vera", "annie"])
        groups.append((submitter, _group(f"{target.name} in colour", "GAL-003", [request], rng)))
    for target in _up(CLUSTERS, now, "1m0"):
        exposures = [("gp", rng.choice([15.0, 30.0]), 2), ("ip", rng.choice([15.0, 30.0]), 2)]
        window = (start, min(end, start + timedelta(days=4)))
        request = _request("1m0", [_images("1M0-SCICAM", target, exposures)], window)
        groups.append(("annie", _group(f"{target.name} photometry", "GAL-003", [request], rng)))
    for target in _up(CLUSTERS, now, "0m4"):
        exposures = [(f, rng.choice([20.0, 30.0, 40.0]), 2) for f in ("B", "V", "rp")]
        window = (start, min(end, start + timedelta(days=5)))
        request = _request("0m4", [_images("0M4-SCICAM", target, exposures)], window)
        groups.append(("william", _group(f"{target.name} for class 9b", "EPO-005", [request], rng)))
    for target in _up(PULSATING_STARS, now, "0m4"):
        exposures = [("V", rng.choice([15.0, 30.0]), 3)]
        nights = [(start + timedelta(days=n), min(end, start + timedelta(days=n + 1))) for n in range(4)]
        visits = [
            _request("0m4", [_images("0M4-SCICAM", target, exposures)], window)
            for window in nights
            if window[1] - window[0] > timedelta(hours=20)
        ]
        groups.append(("henrietta", _group(f"{target.name} light curve", "VAR-002", visits, rng)))
    for target in _up(PLANET_HOSTS, now, "1m0"):
        images = _images("1M0-SCICAM", target, [("rp", rng.choice([10.0, 20.0, 30.0]), rng.randint(5, 12))])
        request = _request("1m0", [images], (start, min(end, start + timedelta(days=4))))
        submitter = rng.choice(["vera", "henrietta"])
        groups.append((submitter, _group(f"{target.name} out of transit", "EXO-001", [request], rng)))
    for target in _up(STANDARD_STARS, now, "spectrograph"):
        science = _spectrum("SPECTRUM", target, rng.choice([60.0, 120.0, 180.0]))
        lamp = _spectrum("ARC", target, 20.0)
        request = _request("1m0", [science, lamp], (start, min(end, start + timedelta(days=6))))
        groups.append(("annie", _group(f"{target.name} flux", "standards-004", [request], rng)))
    rng.shuffle(groups)
    return groups


def _season(now: datetime) -> tuple[datetime, datetime]:
    """Longest window that may be asked for: a week, but within one semester."""
    limits = sorted(datetime.fromisoformat(s["start"]) for s in semesters(now))
    following = next(limit for limit in limits if limit > now)
    start = now.replace(microsecond=0)
    if following - start < timedelta(days=1):
        start = following
        following = limits[limits.index(following) + 1]
    return start, min(start + timedelta(days=7), following - timedelta(seconds=1))


def _up(targets: Iterable[Target], now: datetime, instrument: str) -> list[Target]:
    """Targets that culminate high enough at a site of the instrument, well away from the Sun."""
    days = (now - datetime(2000, 1, 1, 12, tzinfo=now.tzinfo)).total_seconds() / 86400.0
    anomaly = math.radians(357.528 + 0.9856003 * days)
    longitude = math.radians(280.46 + 0.9856474 * days + 1.915 * math.sin(anomaly))
    obliquity = math.radians(23.44)
    sun_deg = math.degrees(math.atan2(math.cos(obliquity) * math.sin(longitude), math.cos(longitude)))
    return [
        target
        for target in targets
        if abs((target.ra_deg - sun_deg + 180.0) % 360.0 - 180.0) > NIGHT_HOURS * 15.0
        and min(abs(target.dec_deg - latitude) for latitude in SITE_LATITUDES_DEG[instrument]) < REACH_DEG
    ]


def _group(name: str, proposal: str, requests: list[dict[str, Any]], rng: random.Random) -> dict[str, Any]:
    return {
        "name": name,
        "proposal": proposal,
        "ipp_value": rng.choice([0.95, 1.0, 1.0, 1.0, 1.05]),
        "operator": "SINGLE" if len(requests) == 1 else "MANY",
        "observation_type": "NORMAL",
        "requests": requests,
    }


def _request(
    telescope_class: str, configurations: list[dict[str, Any]], window: tuple[datetime, datetime]
) -> dict[str, Any]:
    start, end = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in window)
    return {
        "location": {"telescope_class": telescope_class},
        "configurations": configurations,
        "windows": [{"start": start, "end": end}],
    }


def _images(instrument_type: str, target: Target, exposures: list[tuple[str, float, int]]) -> dict[str, Any]:
    return {
        "type": "EXPOSE",
        "instrument_type": instrument_type,
        "target": _target(target),
        "constraints": {"max_airmass": 2.0, "min_lunar_distance": 15.0},
        "acquisition_config": {"mode": "OFF"},
        "guiding_config": {"mode": "ON", "optional": True},
        "instrument_configs": [
            {
                "exposure_time": exposure_time_s,
                "exposure_count": count,
                "mode": "full_frame",
                "optical_elements": {"filter": name},
            }
            for name, exposure_time_s, count in exposures
        ],
    }


def _spectrum(kind: str, target: Target, exposure_time_s: float) -> dict[str, Any]:
    on_sky = kind == "SPECTRUM"
    return {
        "type": kind,
        "instrument_type": "1M0-SPECTROGRAPH",
        "target": _target(target),
        "constraints": {"max_airmass": 2.0, "min_lunar_distance": 15.0},
        "acquisition_config": {"mode": "WCS" if on_sky else "OFF"},
        "guiding_config": {"mode": "ON" if on_sky else "OFF", "optional": not on_sky},
        "instrument_configs": [
            {
                "exposure_time": exposure_time_s,
                "exposure_count": 2 if on_sky else 1,
                "mode": "slow",
                "optical_elements": {"slit": "slit_2.0as"},
            }
        ],
    }


def _target(target: Target) -> dict[str, Any]:
    return {
        "type": "ICRS",
        "name": target.name,
        "ra": round(target.ra_deg, 6),
        "dec": round(target.dec_deg, 6),
        "proper_motion_ra": 0.0,
        "proper_motion_dec": 0.0,
        "parallax": 0.0,
        "epoch": 2000.0,
    }
