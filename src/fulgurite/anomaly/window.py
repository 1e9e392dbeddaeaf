"""The model that works: windows of rows, judged at their last row, given the calendar."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fulgurite.anomaly.calendars import calendar_features
from fulgurite.anomaly.encoding import Vocabulary
from fulgurite.anomaly.model import Scored, check_setting
from fulgurite.anomaly.network import WindowNetwork, Windows
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.surroundings import Surroundings
from fulgurite.anomaly.terms import FLAT_ROWS, Reading, Terms, part_names
from fulgurite.anomaly.threads import one_thread
from fulgurite.anomaly.tides import DAYS, WEEKS, Scale, Tides, period
from fulgurite.base.arguments import checked
from fulgurite.base.errors import DataError
from fulgurite.base.seed import MAX_SEED, isolate_rng
from fulgurite.trainer import Trainer

SHORTEST, LONGEST, USUAL = 24, 128, 64  # rows of a window
FEWEST = 12  # rows of a window where rows are few
FEWEST_STEPS, MOST_STEPS, PASSES = 1500, 4000, 20
ROUNDS = 10  # epochs that the training is cut into, for its bar and its rows
REFERENCES = 2000
BATCH = 256
SCORING_BATCH = 1024
ENOUGH = 10_000  # rows to take scales from
BAND = 0.99


class WindowModel:
    """Scores each row by the window that ends with it.

    Reads all numeric columns of a series, conditions on its calendar and categories. ``window`` rows (None: a period of
    the watched value, or as many as make 24 rows, but at most 128), ``holidays`` a country's code or None, ``epochs``
    passes over the training rows (None: about 20, but 1,500 to 4,000 steps). Empty cells are filled with what an hour
    usually has, and take no blame.

    A row's parts are, for each column: ``rebuild``, off what the network expected; ``recent``, the last rows are unlike
    all training rows at that hour; ``level``, far from the median; ``profile``, unusual for the hour; ``flat``, repeats
    itself; ``shape``, the window is unlike all training windows; ``shift``, the mean has moved; and, once, ``latent``.
    """

    @checked
    def __init__(
        self,
        holidays: str | None = None,
        epochs: int | None = None,
        seed: int = 0,
        window: int | None = None,
        hidden: Sequence[int] = (128, 64),
        latent: int = 8,
    ) -> None:
        check_setting("window", window, FEWEST)
        check_setting("epochs", epochs, 1)
        check_setting("seed", seed, 0, MAX_SEED)
        check_setting("latent", latent, 1)
        for width in hidden:
            check_setting("a width of hidden", width, 1)
        self.holidays, self.epochs, self.seed, self.window = holidays, epochs, seed, window
        self.hidden, self.latent = tuple(hidden), latent
        self.part_names: tuple[str, ...] = ()
        self.scale: Scale | None = None
        self.tides: Tides | None = None
        self.calendar: tuple[str, ...] = ()
        self.vocabularies: tuple[Vocabulary, ...] = ()
        self.columns: tuple[str, ...] = ()
        self.terms: Terms | None = None
        self.reach = np.zeros(0)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen by the rows learned from."""
        days = f"the holidays of {self.holidays}" if self.holidays else "no holidays"
        return (f"The window is {self.window} rows, with {days}.",)

    # -- learning --

    def fit(self, series: Series, trainer: Mapping[str, Any]) -> None:
        """Train on all rows but those without a number; ``trainer`` are arguments of `fulgurite.Trainer`."""
        self.window = self._window(series)
        self.columns = series.names
        self.scale = Scale.fit(series)
        self.calendar = calendar_names(series, self.holidays)
        self.tides = Tides.fit(self.scale(series.values), series)
        self.vocabularies = tuple(Vocabulary.fit(column) for column in series.categories)
        self.part_names = part_names(series.names)
        reading = self.reading(series, {})
        places = np.flatnonzero(np.isfinite(series.value)[self.window - 1 :])
        references = places[np.linspace(0, len(places) - 1, min(REFERENCES, len(places))).astype(int)]
        with isolate_rng(), one_thread():
            torch.manual_seed(self.seed)
            steps = self._steps(len(places))
            self.terms = self._build(len(references), steps)
            drawn_from = (reading.windows, reading.conditions, reading.codes, torch.from_numpy(places))
            loader = Windows(*drawn_from, BATCH, steps // ROUNDS)
            Trainer(**{"devices": 1, "max_epochs": ROUNDS, "gradient_clip_val": 10.0, **trainer}).fit(
                self.terms.network, loader
            )
        self.terms.eval()
        self.terms.learn(Reading(*(tensor[references] for tensor in vars(reading).values())))
        self.calibrate(series.rows(max(0, len(series) - ENOUGH)), {})

    def calibrate(self, series: Series, memory: dict[str, Any]) -> None:
        """Set the terms' scales and the band on rows that follow those of ``memory``; best ones not learned from."""
        assert self.terms is not None and self.scale is not None and self.window is not None
        reading = self.reading(series, dict(memory))
        first = len(series) - len(reading)
        whole = np.isfinite(series.value)[first:]
        if not whole.any():
            return
        terms, expected = self._judged(reading, Terms.terms)
        self.terms.calibrate(torch.from_numpy(terms[whole]).float())
        off = np.abs(expected - reading.windows[:, :, -1].numpy())[whole]
        self.reach = np.quantile(off, BAND, axis=0)

    @property
    def window_parts(self) -> tuple[int, ...]:
        """The places of the parts that tell of the window as a whole: what ranks rows as they come."""
        return tuple(place for place, name in enumerate(self.part_names) if name.endswith("_shape"))

    def surroundings(self, series: Series) -> Surroundings:
        """What ranks rows that are all there; from the rows that the model has learned from."""
        assert self.terms is not None and self.scale is not None
        assert self.tides is not None and self.window is not None
        return Surroundings(self.scale, self.tides, self.columns, self.window, self.terms.unfolds).fit(series)

    def _window(self, series: Series) -> int:
        whole = series.value[np.isfinite(series.value)]
        found = period(whole) or USUAL
        window = self.window or min(found * -(-SHORTEST // found), LONGEST)
        fewest = 3 * (self.window or FEWEST)
        if len(whole) < fewest:
            raise DataError(
                f"There are {len(whole)} rows with a number to learn from (the last fifth of training only "
                f"calibrates); at least {fewest} are needed. Give more rows."
            )
        return min(window, len(whole) // 3)

    def _steps(self, windows: int) -> int:
        per_pass = -(-windows // BATCH)
        steps = self.epochs * per_pass if self.epochs else int(np.clip(PASSES * per_pass, FEWEST_STEPS, MOST_STEPS))
        return max(ROUNDS, steps // ROUNDS * ROUNDS)

    def _build(self, references: int, steps: int = ROUNDS, unfolds: bool = True) -> Terms:
        words = [len(words) for words in self.vocabularies]
        assert self.window is not None
        network = WindowNetwork(
            len(self.columns), self.window, len(self.calendar), words, self.hidden, self.latent, steps=steps
        )
        return Terms(network, references, unfolds)

    # -- scoring --

    def score(self, series: Series, memory: dict[str, Any]) -> Scored:
        """Score rows that follow those of ``memory``; the first ones, whose window is not full, get NaN."""
        if self.terms is None or self.scale is None or self.window is None:
            raise RuntimeError("This WindowModel has learned nothing yet. Call `fit`, or `load_state_dict`.")
        rows = len(series)
        parts, expected = np.full((rows, len(self.part_names)), np.nan), np.full(rows, np.nan)
        low, high = expected.copy(), expected.copy()
        reading = self.reading(series, memory)
        first = rows - len(reading)
        if len(reading):
            found, guess = self._judged(reading, Terms.forward)
            parts[first:] = _blameless(found, ~np.isfinite(series.values[first:]))
            expected[first:], low[first:], high[first:] = (
                self.scale.undo(guess[:, 0] + off, 0) for off in (0, -self.reach[0], self.reach[0])
            )
        nothing = ~np.isfinite(series.value)
        for column in (parts, expected, low, high):
            column[nothing] = np.nan
        return Scored(parts, expected, low, high)

    def raw_terms(self, series: Series, memory: dict[str, Any]) -> np.ndarray:
        """The terms (n, p) before they are scaled, weighed and summed; NaN where the window is not full."""
        reading = self.reading(series, memory)
        terms = np.full((len(series), len(self.part_names)), np.nan)
        if len(reading):
            terms[len(series) - len(reading) :] = self._judged(reading, Terms.terms)[0]
        return terms

    def reading(self, series: Series, memory: dict[str, Any]) -> Reading:
        """The windows that end with the rows of the series, as far as they are full; ``memory`` then has its rows."""
        assert self.scale is not None and self.tides is not None and self.window is not None
        scaled = self.scale(series.values)
        gaps = ~np.isfinite(scaled)
        values = self.tides.fill(scaled, series)
        if memory:
            values, gaps = np.concatenate([memory["values"], values]), np.concatenate([memory["gaps"], gaps])
        old, window = len(values) - len(series), self.window
        first = max(old, window - 1)
        before = _mean_before(values, window)[first:]
        broken = _any_of_last(gaps, FLAT_ROWS)[first:]
        keep = 4 * window + window // 2 + window
        memory["values"], memory["gaps"] = values[-keep:].copy(), gaps[-keep:].copy()
        windows = torch.from_numpy(values).float()
        if len(values) >= window:
            windows = windows.unfold(0, window, 1)[first - window + 1 :]
        else:
            windows = windows.new_zeros(0, values.shape[1], window)
        skip = first - old
        return Reading(
            windows,
            torch.from_numpy(before).float(),
            torch.from_numpy(self.tides.usual(series)[skip:]).float(),
            torch.from_numpy(broken).float(),
            self._conditions(series)[skip:],
            self._codes(series)[skip:],
        )

    @torch.inference_mode()
    def _judged(self, reading: Reading, what: Any) -> tuple[np.ndarray, np.ndarray]:
        """Parts (or terms) and expectations of each window, float64."""
        assert self.terms is not None
        found = [
            what(self.terms, *vars(reading.batch(slice(start, start + SCORING_BATCH))).values())
            for start in range(0, len(reading), SCORING_BATCH)
        ]
        first, second = (torch.cat(pieces).double().numpy() for pieces in zip(*found, strict=True))
        return first, second

    def _conditions(self, series: Series) -> Tensor:
        if not self.calendar or series.clock is None:
            return torch.zeros(len(series), len(self.calendar))
        features = calendar_features(series.clock, self.holidays)
        return torch.from_numpy(np.stack([features[name] for name in self.calendar], axis=1).astype(np.float32))

    def _codes(self, series: Series) -> Tensor:
        by_name = {column.name: column for column in series.categories}
        codes = [words(by_name[words.name]) for words in self.vocabularies]
        return torch.from_numpy(np.column_stack([np.empty((len(series), 0), np.int64), *codes]))

    # -- the state --

    def state_dict(self) -> dict[str, Any]:
        assert self.terms is not None and self.scale is not None and self.tides is not None
        names = ("holidays", "epochs", "seed", "window", "hidden", "latent")
        return {
            "config": {name: getattr(self, name) for name in names},
            "columns": list(self.columns),
            "calendar": list(self.calendar),
            "vocabularies": [words.state_dict() for words in self.vocabularies],
            "scale": self.scale.state_dict(),
            "tides": self.tides.state_dict(),
            "reach": self.reach.tolist(),
            "references": self.terms.reference_windows.shape[1],
            "unfolds": self.terms.unfolds,
            "terms": self.terms.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.__init__(**state["config"])  # type: ignore[misc]  # the state brings the arguments too
        self.columns, self.calendar = tuple(state["columns"]), tuple(state["calendar"])
        self.vocabularies = tuple(Vocabulary.from_state(each) for each in state["vocabularies"])
        self.scale, self.tides = Scale.from_state(state["scale"]), Tides.from_state(state["tides"])
        self.reach, self.part_names = np.array(state["reach"]), part_names(self.columns)
        with isolate_rng():
            self.terms = self._build(state["references"], unfolds=state.get("unfolds", False))
        self.terms.load_state_dict(state["terms"])
        self.terms.eval()


def calendar_names(series: Series, holidays: str | None) -> tuple[str, ...]:
    """What of the calendar the rows can teach: the hour from two days on, the week from two weeks on."""
    hour = ("sin_day", "cos_day") if series.days >= DAYS else ()
    week = ("sin_week", "cos_week") if series.days >= WEEKS else ()
    return (*hour, *week, *(("holiday",) if holidays is not None and series.days >= WEEKS else ()))


def _mean_before(values: np.ndarray, window: int) -> np.ndarray:
    """The mean of up to four windows of rows before the later half of each row's window."""
    half, long = window // 2, 4 * window
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    end = np.maximum(np.arange(1, len(values) + 1) - half, 1)
    start = np.maximum(end - long, 0)
    return (sums[end] - sums[start]) / (end - start)[:, None]


def _any_of_last(gaps: np.ndarray, rows: int) -> np.ndarray:
    sums = np.concatenate([np.zeros((1, gaps.shape[1]), int), np.cumsum(gaps, axis=0)])
    end = np.arange(1, len(gaps) + 1)
    return sums[end] > sums[np.maximum(end - rows, 0)]


def _blameless(parts: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """No part of a column without a number in that row."""
    each = (parts.shape[1] - 1) // gaps.shape[1]
    parts[:, :-1] = np.where(np.repeat(gaps, each, axis=1), 0.0, parts[:, :-1])
    return parts
