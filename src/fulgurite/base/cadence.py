"""Spans of time as users write them."""

import re
from datetime import timedelta
from typing import Any

from fulgurite.base.errors import MisconfigurationException

UNITS = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds")


def parse_duration(given: Any, asked_by: str = "duration") -> timedelta:
    """Read "DD:HH:MM:SS", a dict of ``timedelta`` arguments or a ``timedelta``.

    ``asked_by`` is the setting's name, as in ``Trainer(max_time=...)``, for the error: `MisconfigurationException`
    for a bad string, an unknown unit or a negative span, ``TypeError`` for anything else.
    """
    span = _read(given, asked_by)
    if span < timedelta(0):
        raise MisconfigurationException(f"{asked_by} got {given!r}, a negative span. Give one of zero or more.")
    return span


def _read(given: Any, asked_by: str) -> timedelta:
    if isinstance(given, timedelta):
        return given
    if isinstance(given, str):
        return _from_words(given, asked_by)
    if isinstance(given, dict):
        return _from_units(given, asked_by)
    raise TypeError(
        f"{asked_by} got {given!r} of type {type(given).__name__}. Expected a string DD:HH:MM:SS, a timedelta, "
        f"or a dict such as {{'hours': 1, 'minutes': 30}}."
    )


def _from_words(given: str, asked_by: str) -> timedelta:
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d):(\d\d)", given.strip())
    if found is None:
        raise MisconfigurationException(
            f"{asked_by} got {given!r}. Expected DD:HH:MM:SS, for example '00:12:00:00' for twelve hours."
        )
    days, hours, minutes, seconds = map(int, found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _from_units(given: dict[str, Any], asked_by: str) -> timedelta:
    unknown = [unit for unit in given if unit not in UNITS]
    if unknown:
        raise MisconfigurationException(
            f"{asked_by} got {given!r} with the unknown unit {unknown[0]!r}. Units are: {', '.join(UNITS)}."
        )
    return timedelta(**given)
