"""The document's detector: a VAE on rows of value and calendar, whose loss of a row is the row's score.

It is kept as it was published. `docs/explanation/the-documents-model.md` says what it finds and what it does not.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from fulgurite.anomaly.calendars import document_features
from fulgurite.anomaly.encoding import Scaling, Vocabulary
from fulgurite.anomaly.model import Scored, check_setting
from fulgurite.anomaly.series import Category, Series
from fulgurite.anomaly.table import Slices, Table
from fulgurite.anomaly.threads import one_thread
from fulgurite.anomaly.vae import VAE
from fulgurite.base.arguments import checked, fitting, kinds_of, shown
from fulgurite.base.errors import DataError, MisconfigurationException
from fulgurite.base.seed import MAX_SEED, isolate_rng
from fulgurite.trainer import Trainer

CALENDAR = ("hour_min", "gap_holiday", "t")
COLUMNS = ("day", "month", "year", *CALENDAR)
CATEGORIES = {"day_of_week": 7, "holiday": 2}
EMBEDDING = 16
SCORING_BATCH = 4096
OWN = ("embedding_sizes", "continuous", "return")
"""What the network gets from the rows."""

Column = TypeVar("Column")


class SeedModel:
    """Scores a row by how badly a VAE rebuilds it; each row for itself.

    A row is the watched value, the hour, the days to the nearest holiday, the time, the day of the week, whether it is
    a holiday, and all further columns of the series. ``holidays`` is a country's code; None leaves holidays out. Empty
    cells of further columns count as the median, and words that training never saw as unknown; rows without a number
    in the watched column are neither learned from nor scored. ``expected`` is the value as it was rebuilt, and the
    band around it holds the share ``band`` of the training rows. ``calendar`` names the calendar's columns of numbers.
    ``network`` goes to `VAE`.
    """

    @checked
    def __init__(
        self,
        holidays: str | None = "US",
        epochs: int = 60,
        batch_size: int = 128,
        seed: int = 0,
        band: float = 0.99,
        calendar: Sequence[str] = CALENDAR,
        **network: Any,
    ) -> None:
        unknown = [name for name in calendar if name not in COLUMNS]
        if unknown:
            raise MisconfigurationException(
                f"calendar={list(calendar)!r}: choose among {', '.join(map(repr, COLUMNS))}."
            )
        check_setting("epochs", epochs, 1)
        check_setting("batch_size", batch_size, 1)
        check_setting("seed", seed, 0, MAX_SEED)
        if not 0 < band < 1:
            raise MisconfigurationException(f"band={band}: a share of the rows was expected, between 0 and 1.")
        self.calendar = tuple(calendar)
        self.holidays, self.epochs, self.batch_size, self.seed, self.band = holidays, epochs, batch_size, seed, band
        self.network = _of_network(network)
        self.part_names: tuple[str, ...] = ()
        self.scaling: Scaling | None = None
        self.vocabularies: tuple[Vocabulary, ...] = ()
        self.reach = 0.0
        self.module: VAE | None = None
        self.trainer: Trainer | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not said and matters."""
        return (f"The calendar has {f'the holidays of {self.holidays}' if self.holidays else 'no holidays'}.",)

    def fit(self, series: Series, trainer: Mapping[str, Any]) -> None:
        """Train on the rows that have a number; ``trainer`` are arguments of `fulgurite.Trainer`."""
        numbers, categories = columns_of(series, self.holidays, self.calendar)
        whole = np.isfinite(series.value)
        if whole.sum() < 2:
            raise DataError(f"{whole.sum()} of {len(series):,} rows have a number to train on; at least 2 are needed.")
        self.scaling = Scaling.fit(tuple(numbers), np.column_stack(list(numbers.values()))[whole])
        self.vocabularies = tuple(Vocabulary.fit(column) for column in categories)
        table = self.table(series, whole)
        with isolate_rng(), one_thread():
            torch.manual_seed(self.seed)
            self.module = self._build()
            self.trainer = Trainer(**{"devices": 1, "max_epochs": self.epochs, "gradient_clip_val": 10.0, **trainer})
            self.trainer.fit(self.module, Slices(table, self.batch_size, shuffle=True))
        expected = self.scaling.undo(self._judge(table)[1][:, 0], 0)
        self.reach = float(np.quantile(np.abs(expected - series.value[whole]), self.band))

    def test(self, series: Series) -> float:
        """The document's ``test_loss``: the mean loss of the rows, from the ``test`` of the Trainer that trained."""
        module, _ = self._trained()
        trainer = self.trainer or Trainer(
            devices=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
        )
        rows = Slices(self.table(series, np.isfinite(series.value)), self.batch_size)
        (found,) = trainer.test(module, rows, verbose=False)
        return found["test_loss"]

    def score(self, series: Series, memory: dict[str, Any]) -> Scored:
        """Score rows; nothing is kept in ``memory``, since no row looks at another."""
        _, scaling = self._trained()
        parts, rebuilt = self._judge(self.table(series))
        expected = scaling.undo(rebuilt[:, 0], 0)
        nothing = ~np.isfinite(series.value)
        parts[nothing], expected[nothing] = np.nan, np.nan
        return Scored(parts, expected, expected - self.reach, expected + self.reach)

    def table(self, series: Series, chosen: np.ndarray | slice = slice(None)) -> Table:
        """The chosen rows as the network reads them; the target is the watched value in its own unit."""
        assert self.scaling is not None
        numbers, categories = columns_of(series, self.holidays, self.calendar)
        by_name = {column.name: column for column in categories}
        columns = [_named(numbers, name, "numbers") for name in self.scaling.names]
        codes = [words(_named(by_name, words.name, "categories")) for words in self.vocabularies]
        return Table(
            torch.from_numpy(self.scaling(np.column_stack(columns)[chosen])),
            torch.from_numpy(np.column_stack([np.empty((len(series), 0), np.int64), *codes])[chosen]),
            torch.from_numpy(series.value[chosen, None]),
        )

    def state_dict(self) -> dict[str, Any]:
        module, scaling = self._trained()
        config = {name: getattr(self, name) for name in ("holidays", "epochs", "batch_size", "seed", "band")}
        return {
            "config": {**config, "calendar": list(self.calendar), **self.network},
            "scaling": scaling.state_dict(),
            "vocabularies": [words.state_dict() for words in self.vocabularies],
            "reach": self.reach,
            "weights": module.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.__init__(**state["config"])  # type: ignore[misc]  # the state brings the arguments too
        self.scaling = Scaling.from_state(state["scaling"])
        self.vocabularies = tuple(Vocabulary.from_state(each) for each in state["vocabularies"])
        self.reach = state["reach"]
        with isolate_rng():
            self.module = self._build()
        self.module.load_state_dict(state["weights"])

    def __getstate__(self) -> dict[str, Any]:
        # A Trainer holds files and the training rows; the model travels without it.
        return {**self.__dict__, "trainer": None}

    def _build(self) -> VAE:
        assert self.scaling is not None
        names = (*self.scaling.names, *(words.name for words in self.vocabularies))
        self.part_names = (*names, _free("kld", names))
        sizes = [(len(words), EMBEDDING) for words in self.vocabularies]
        return VAE(sizes, len(self.scaling.names), **self.network)

    def _trained(self) -> tuple[VAE, Scaling]:
        if self.module is None or self.scaling is None:
            raise RuntimeError("This SeedModel has learned nothing yet. Call `fit`, or `load_state_dict`.")
        return self.module, self.scaling

    @torch.inference_mode()
    def _judge(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """Parts and rebuilt numbers of each row, float64."""
        module, scaling = self._trained()
        module.eval()
        parts = np.empty((len(table), len(self.part_names)))
        rebuilt = np.empty((len(table), len(scaling.names)))
        for start in range(0, len(table), SCORING_BATCH):
            rows = slice(start, start + SCORING_BATCH)
            judged = module.judge([column.to(module.device) for column in table[rows]])
            parts[rows], rebuilt[rows] = judged.parts.cpu().numpy(), judged.rebuilt.cpu().numpy()
        # Where a number is too strange, the divergence is infinite; a sum and its shares have to stay numbers.
        return np.minimum(parts, np.finfo(np.float32).max), rebuilt


def columns_of(
    series: Series, holidays: str | None, calendar: Sequence[str]
) -> tuple[dict[str, np.ndarray], list[Category]]:
    """What the network is given: numbers by name, the watched value first, and categories.

    A column of the calendar gives way to one of the series that has its name.
    """
    own = (*series.names, *(column.name for column in series.categories))
    if series.clock is None:
        found = {"t": series.time.astype(np.int64) / 1e8}
    else:
        found = document_features(series.clock, series.time, holidays)
    numbers = {name: series.values[:, index] for index, name in enumerate(series.names)}
    numbers |= {_free(name, own): np.asarray(found[name], np.float64) for name in calendar if name in found}
    categories = [
        Category(_free(name, own), found[name], tuple(map(str, range(size))))
        for name, size in CATEGORIES.items()
        if name in found
    ]
    return numbers, [*categories, *series.categories]


def _free(name: str, taken: tuple[str, ...]) -> str:
    return _free(f"{name}_", taken) if name in taken else name


def _named(columns: Mapping[str, Column], name: str, kind: str) -> Column:
    if name not in columns:
        raise DataError(
            f"The model was trained with a column of {kind} named {name!r}, which these rows do not have; "
            f"of {kind} they have {', '.join(map(repr, columns)) or 'none'}."
        )
    return columns[name]


def _of_network(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of `VAE`. Raises ``TypeError`` for one that it has not, ``WrongKind`` for a value it can't have."""
    kinds = {name: kind for name, kind in kinds_of(VAE.__init__).items() if name not in OWN}
    for name, value in given.items():
        if name not in kinds:
            raise TypeError(f"SeedModel({name}={shown(value)}): no such setting. The network has {', '.join(kinds)}.")
    return {name: fitting(value, kinds[name], f"SeedModel({name}={{}})") for name, value in given.items()}
