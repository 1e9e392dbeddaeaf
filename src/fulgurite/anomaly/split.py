"""Where the rows to learn from end."""

import re

import numpy as np

from fulgurite.anomaly.series import Series
from fulgurite.anomaly.words import moment
from fulgurite.base.errors import DataError


def place_of(where: str, series: Series) -> int:
    """The place of the first row behind the split: after a share of all rows (``70%``) or from a time on, as the clock
    of the source shows it (``2014-02-01``, ``2014-02-01 12:00``).

    Raises ``DataError`` where nothing would be left on one side.
    """
    share = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", where)
    place = int(len(series) * float(share[1]) / 100) if share else _first_from(where, series)
    if not 0 < place < len(series):
        raise DataError(
            f"split={where!r} leaves no row {'before' if place <= 0 else 'behind'} it. There are {len(series):,} rows, "
            f"{_span(series)}."
        )
    return place


def _first_from(where: str, series: Series) -> int:
    try:
        time = np.datetime64(where.strip().replace(" ", "T"), "us")
    except ValueError:
        raise DataError(f"split={where!r} is neither a share such as 70% nor a time such as 2014-02-01.") from None
    if series.clock is None:
        raise DataError(f"split={where!r} is a time, but the rows have none. Give a share such as 70%.")
    later = series.clock >= time
    # Where clocks are set back, a time is there twice: the first one counts.
    return int(np.argmax(later)) if later.any() else len(series)


def _span(series: Series) -> str:
    if series.clock is None or not len(series):
        return "without times"
    return f"from {moment(series.clock[0])} to {moment(series.clock[-1])}"
