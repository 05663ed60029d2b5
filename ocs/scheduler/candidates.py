"""Which telescopes and instruments can do a request: location, state, optical elements. Pure rules."""

from collections.abc import Sequence

from ocs.scheduler.snapshot import (
    DISABLED,
    SCHEDULABLE,
    Configuration,
    Elements,
    Instrument,
    Request,
    Telescope,
)


def can_do(instrument: Instrument, configurations: Sequence[Configuration]) -> bool:
    """Tell whether an instrument has all that configurations of its type ask for.

    Optical elements of guiding are looked for in front of the guide camera, or of the instrument itself
    when it guides itself; then its type must allow that.
    """
    science: Elements = frozenset().union(*(item.science_elements for item in configurations))
    if not science <= instrument.science_elements:
        return False
    for item in configurations:
        if not item.is_guided:
            continue
        if item.guides_itself and not instrument.allows_self_guiding:
            return False
        available = instrument.science_elements if item.guides_itself else instrument.guide_elements
        if not item.guide_elements <= available:
            return False
    return True


def instruments_for(
    request: Request, telescope: Telescope, *, is_staff: bool
) -> dict[str, Instrument] | None:
    """Choose the instrument for each instrument type (lower case) of a request.

    A schedulable instrument comes first. One in another state (never DISABLED) is used only for staff who
    named the telescope in full.

    Returns
    -------
    dict of str to Instrument or None
        None when the telescope cannot do the request.
    """
    if telescope.place is None or not request.location.admits(telescope):
        return None
    may_use_others = is_staff and request.location.is_full
    chosen: dict[str, Instrument] = {}
    for instrument_type in dict.fromkeys(item.instrument_type for item in request.configurations):
        asked = [item for item in request.configurations if item.instrument_type == instrument_type]
        fitting = [
            item
            for item in telescope.instruments
            if item.instrument_type == instrument_type
            and (item.state == SCHEDULABLE or (may_use_others and item.state != DISABLED))
            and can_do(item, asked)
        ]
        if not fitting:
            return None
        chosen[instrument_type] = min(fitting, key=lambda item: item.state != SCHEDULABLE)
    return chosen or None


def cameras(request: Request, chosen: dict[str, Instrument]) -> list[tuple[str, str]]:
    """Return (instrument, guide camera) per configuration; no guide camera where guiding is off."""
    names = []
    for item in request.configurations:
        instrument = chosen[item.instrument_type]
        guide = instrument.code if item.guides_itself else instrument.guide_camera
        names.append((instrument.code, guide if item.is_guided else ""))
    return names
