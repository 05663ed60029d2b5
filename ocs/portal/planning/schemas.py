"""What the planning addresses read and answer."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ocs.kernel.wire.types import FilterDatetime, FilterModel, UtcDatetime, WireModel, WireText, text

Twilight = Literal["sunrise", "sunset", "civil", "nautical", "astronomical"]
MAX_NSIDE = 128

_AD_HOC = (
    "latitude",
    "longitude",
    "altitude",
    "horizon",
    "ha_limit_neg",
    "ha_limit_pos",
    "zenith_blind_spot",
)


class SiteIn(WireModel):
    """A configured site by its code, or a place of one's own with any code as its label."""

    code: text(200) = Field(  # type: ignore[valid-type]
        description="Code of a configured site, or label of the place given here"
    )
    latitude: float | None = Field(None, ge=-90, le=90, description="Geodetic, degrees")
    longitude: float | None = Field(None, ge=-180, le=360, description="Degrees, east positive")
    altitude: float = Field(0.0, ge=-12_000, le=100_000, description="Metres")
    horizon: float = Field(0.0, ge=0, le=90, description="Least pointing altitude, degrees")
    ha_limit_neg: float = Field(-4.9, ge=-12, le=0, description="Hours; -12 and 12 mean no limit")
    ha_limit_pos: float = Field(4.9, ge=0, le=12, description="Hours")
    zenith_blind_spot: float = Field(0.0, ge=0, le=180, description="Radius, degrees; 0 means none")

    @property
    def is_configured(self) -> bool:
        """Whether only a code is given."""
        return self.latitude is None

    @model_validator(mode="after")
    def _whole_or_code(self) -> Self:
        given = self.model_fields_set.intersection(_AD_HOC)
        if given and (self.latitude is None or self.longitude is None):
            raise ValueError("Give latitude and longitude too, or only the code of a configured site.")
        return self


class AskedTarget(WireModel):
    """A target with its constraints. Values that make no sense give an error in its own results."""

    target: dict[str, Any] = Field(
        description="As in a request: type, ra, dec, proper motion, or orbital elements; "
        "extra_params.tle (two lines) or extra_params.ephemeris (rows of time, ra, dec) give a track"
    )
    constraints: dict[str, Any] = Field(
        default_factory=dict,
        description="max_airmass (default 1.6), min_lunar_distance (30 degrees), max_lunar_phase (1)",
    )


class AskedWindow(WireModel):
    """From when to when; a reversed window is an empty one."""

    start: UtcDatetime
    end: UtcDatetime


class VisibilityIn(WireModel):
    """Which targets, from where, when."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sites": [{"code": "here", "latitude": -30.1673, "longitude": -70.8047, "horizon": 15}],
                    "targets": [
                        {
                            "target": {"type": "ICRS", "ra": 95.5, "dec": -33.25},
                            "constraints": {"max_airmass": 1.6, "min_lunar_distance": 30},
                        }
                    ],
                    "window": {"start": "2027-01-10T00:00:00Z", "end": "2027-01-11T00:00:00Z"},
                }
            ]
        }
    )

    sites: list[SiteIn]
    targets: list[AskedTarget]
    window: AskedWindow
    twilight: Twilight = Field("nautical", description="How dark it must be")
    sample_every_s: float | None = Field(
        None, ge=1, le=1e9, description="Also sample the whole window at this step, seconds"
    )


class IntervalOut(BaseModel):
    """An observable piece."""

    start: datetime
    end: datetime


class BudgetStep(BaseModel):
    """What is left of the window when this constraint and those before it are applied."""

    constraint: Literal["window", "dark", "altitude", "hour_angle", "zenith", "moon_distance", "moon_phase"]
    seconds_left: float


class SampleOut(BaseModel):
    """Where the target is; null where it has no place, and airmass also below 3 degrees."""

    time: datetime
    altitude_deg: float | None
    azimuth_deg: float | None
    airmass: float | None
    moon_distance_deg: float | None


class RowErrorOut(BaseModel):
    """Why a target has no answer."""

    code: str
    message: str


class VisibilityResult(BaseModel):
    """One target from one site."""

    site: str
    target: int = Field(description="Place in the list of targets, from 0")
    intervals: list[IntervalOut]
    total_seconds: float
    budget: list[BudgetStep]
    samples: list[SampleOut] | None = Field(None, description="Only if asked for")
    error: RowErrorOut | None = Field(None, description="Only where there is one")


class VisibilityOut(BaseModel):
    """All targets from the first site, then from the second, and so on."""

    results: list[VisibilityResult]


class SpanFilters(FilterModel):
    """From when to when."""

    start: FilterDatetime
    end: FilterDatetime

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.end <= self.start:
            raise ValueError("The end must come after the start.")
        return self


class TwilightOut(BaseModel):
    """When the Sun's centre passes an altitude; null if it does not that night."""

    dusk: datetime | None
    dawn: datetime | None
    dark_seconds: float


class NightOut(BaseModel):
    """The 24 hours around a mean solar midnight."""

    middle: datetime
    twilights: dict[Literal["sunset", "civil", "nautical", "astronomical"], TwilightOut]
    moonrise: datetime | None
    moonset: datetime | None
    moon_phase: float = Field(description="At the middle: 0 new, 1 full")
    moon_up_dark_seconds: float = Field(description="Nautical darkness with the Moon up")


class NightsOut(BaseModel):
    """The nights of a site."""

    site: str
    nights: list[NightOut]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class SkyFilters(SpanFilters):
    """Which map of the sky."""

    site: WireText
    nside: int = Field(64, description=f"HEALPix resolution, a power of two up to {MAX_NSIDE}")
    order: Annotated[Literal["ring", "nested"], BeforeValidator(_lower)] = "ring"
    max_airmass: float | None = Field(None, ge=1, le=1000, description="Default: the telescope's horizon")

    @model_validator(mode="after")
    def _power_of_two(self) -> Self:
        if not (1 <= self.nside <= MAX_NSIDE and self.nside & (self.nside - 1) == 0):
            raise ValueError(f"nside must be a power of two from 1 to {MAX_NSIDE}.")
        return self


class SkyMapOut(BaseModel):
    """The fraction of the dark time for which each pixel is high enough."""

    site: str
    nside: int
    order: Literal["ring", "nested"]
    fractions: list[float]
