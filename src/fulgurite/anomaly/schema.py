"""Which columns a model was trained on, and whether other rows have them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from fulgurite.anomaly.cells import Written
from fulgurite.anomaly.series import Series
from fulgurite.base.errors import DataError

OFTEN = 2.0  # a step that differs by more than this factor is worth a word


@dataclass(frozen=True)
class Schema:
    """``value`` is watched, ``continuous`` and ``categorical`` stand beside it, rows come every ``step`` seconds.

    ``time`` is the name of the column of times where the source had one; ``clocked`` says whether rows have times.
    ``time_format`` and ``decimal`` are how the source wrote times and numbers, for rows that leave it open.
    """

    value: str
    continuous: tuple[str, ...]
    categorical: tuple[str, ...]
    step: float
    clocked: bool
    time: str | None = None
    time_format: str | None = None
    decimal: str | None = None

    @classmethod
    def of(cls, series: Series) -> "Schema":
        value, *continuous = series.names
        categorical = tuple(column.name for column in series.categories)
        time, written = getattr(series, "time_name", None), getattr(series, "written", Written())
        clocked = series.clock is not None
        return cls(value, tuple(continuous), categorical, series.step, clocked, time, written.time, written.decimal)

    @property
    def columns(self) -> dict[str, Any]:
        """Which columns are what, and how they are written, as the readers of files and tables take it."""
        named = {name: getattr(self, name) for name in ("time", "value", "continuous", "categorical")}
        return {**named, "written": Written(self.time_format, self.decimal)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Schema":
        lists = {name: tuple(state[name]) for name in ("continuous", "categorical")}
        return cls(**{**state, **lists})

    def state_dict(self) -> dict[str, Any]:
        state = asdict(self)
        return {name: list(part) if isinstance(part, tuple) else part for name, part in state.items()}

    @contextmanager
    def told(self) -> Iterator[None]:
        """Rows that can't be read as this asks are refused with the whole of what is asked."""
        try:
            yield
        except DataError as error:
            raise DataError(f"{error} The model was trained on {self}.") from error

    def check(self, series: Series) -> list[str]:
        """What is worth a word about rows that fit. Raises ``DataError`` where they do not."""
        other = Schema.of(series)
        if (self.continuous, self.categorical) != (other.continuous, other.categorical) or self.value != other.value:
            raise DataError(f"The model was trained on {self}, these rows have {other}. {self._difference(other)}")
        if self.clocked and not other.clocked:
            raise DataError("The model was trained on rows with times, these have none. Name their column of times.")
        notes = []
        if other.clocked and not self.clocked:
            notes.append("The model was trained on rows without times: the times of these rows are not looked at.")
        if self.clocked and self._far(other.step):
            notes.append(
                f"These rows come every {duration(other.step)}, those of training every {duration(self.step)}: "
                "the model may not know their shape."
            )
        return notes

    def _far(self, step: float) -> bool:
        return step > 0 and self.step > 0 and not 1 / OFTEN <= step / self.step <= OFTEN

    def _difference(self, other: "Schema") -> str:
        mine, theirs = ({*s.continuous, *s.categorical, s.value} for s in (self, other))
        told = [
            f"Missing: {_listed(sorted(mine - theirs))}." if mine - theirs else "",
            f"Not known to the model: {_listed(sorted(theirs - mine))}." if theirs - mine else "",
        ]
        return " ".join(filter(None, told)) or "The same columns are of other kinds, or in another order."

    def __str__(self) -> str:
        parts = [f"the value {self.value!r}"]
        for kind, names in (("continuous", self.continuous), ("categorical", self.categorical)):
            if names:
                parts.append(f"the {kind} {_listed(names)}")
        return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def duration(seconds: float) -> str:
    """A time in the largest unit that leaves a number of one or more: ``5 min``."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.4g} s"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
