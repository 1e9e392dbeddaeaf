"""Numbers, times and shares as people write them."""

from typing import Any

import numpy as np


def number(value: float) -> str:
    """A number with four digits that count, thousands apart; nothing for NaN."""
    if not np.isfinite(value):
        return "" if np.isnan(value) else str(value)
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e12 else f"{value:.4g}"


def percent(share: float) -> str:
    """A share with two digits that count, or as many as tell it from all."""
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.4g} %"


def counted(count: int, noun: str) -> str:
    """So many of something: ``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def short(text: str, most: int) -> str:
    """Text of at most so many letters, on one line."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


def moment(time: Any) -> str:
    """A time without the seconds that it has not; the number of a row as it is."""
    if not isinstance(time, np.datetime64):
        return f"row {time:,}"
    whole = time.astype("datetime64[s]")
    text = str(whole if whole == time else time.astype("datetime64[ms]")).replace("T", " ")
    return text.removesuffix(":00") if whole == time else text
