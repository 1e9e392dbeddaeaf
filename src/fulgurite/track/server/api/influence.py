"""How much each hyperparameter has to do with a metric, over a set of runs. The same runs give the same answer.

The metric counts by its rank among the runs, so that one run that went astray does not drown all others.

``correlation`` is Spearman's: the correlation of ranks, ties sharing theirs [1]. It sees what only rises or only falls.

``importance`` sees other shapes as well. With scikit-learn it is permutation importance [2] of a random forest that is
asked about runs which it was not fitted to: the forest is fitted to four fifths of the runs, the values of one
hyperparameter are shuffled among the last fifth, and what is told is by how much its squared error rises, in units of
the variance of the ranks; the mean over all fifths and some shuffles. A combination of hyperparameters counts for each
of them. Without scikit-learn it is the correlation ratio of ranks in bins, corrected for chance: Kelley's epsilon
squared [3], 1 - (1 - eta²)(n - 1)/(n - k) with k bins, where eta² is the share of the variance that lies between bins.
That sees any shape, but each hyperparameter alone.

[1] C. Spearman, The proof and measurement of association between two things, 1904.
[2] L. Breiman, Random forests, 2001, section 10; on runs left out as in A. Fisher et al., All models are wrong, but
    many are useful, 2019.
[3] T. L. Kelley, An unbiased correlation ratio measure, 1935.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fulgurite.base.optional import available

FOREST, BINS = "forest", "bins"
FEW = 30  # runs below which a figure is rather a hint
LEAST = 8  # runs below which there is none
FOLDS, SHUFFLES, TREES = 5, 3, 50
MOST_DRAWN = 400  # runs that a tree is grown from
MOST_BINS, PER_BIN = 10, 5
MOST_WORDS = 20  # words of a text that are told apart; the rest counts as one

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Influence:
    """What was found for one hyperparameter; None where it can't be said. ``runs`` have a value of it."""

    column: str
    correlation: float | None
    importance: float | None
    runs: int


@dataclass(frozen=True)
class Study:
    """What was found for all of them. ``explained`` is how much of the variance the forest foretells, at most 1."""

    method: str
    runs: int
    explained: float | None
    influences: list[Influence]


def study(columns: Mapping[str, Sequence[Any]], metric: Sequence[float], method: str | None = None) -> Study:
    """How the columns influence the metric; all have one value a run, None where there is none."""
    method = method or (FOREST if available("sklearn") else BINS)
    target = ranks(np.asarray(metric, float))
    enough = len(target) >= LEAST and float(np.ptp(target)) > 0
    features = {name: Feature.of(values) for name, values in columns.items()}
    explained, importances = None, dict[str, float]()
    if enough and features and method == FOREST:
        explained, importances = forest(features, target)
    elif enough:
        importances = {name: ratio(each.bins(), target) for name, each in features.items()}
    found = [
        Influence(name, each.correlation(target) if enough else None, importances.get(name), each.known)
        for name, each in features.items()
    ]
    found.sort(key=lambda each: (-(each.importance or 0.0), each.column))
    return Study(method, len(target), explained, found)


def likely(columns: Mapping[str, Sequence[Any]], metric: Sequence[float], most: int) -> Mapping[str, Sequence[Any]]:
    """The columns; where they are more than ``most``, those that have most to do with the metric by themselves."""
    if len(columns) <= most:
        return columns
    target = ranks(np.asarray(metric, float))
    strength = {name: ratio(Feature.of(values).bins(), target) for name, values in columns.items()}
    return {name: columns[name] for name in sorted(sorted(columns, key=lambda name: -strength[name])[:most])}


@dataclass(frozen=True)
class Feature:
    """A column as numbers, NaN where there is none; a text's are its places in the order of the words."""

    values: Numbers
    ordered: bool

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Feature":
        present = [each for each in values if each is not None]
        if all(isinstance(each, int | float) for each in present):
            numbers = np.array([np.nan if each is None else float(each) for each in values], float)
            return cls(np.where(np.isfinite(numbers), numbers, np.nan), ordered=True)
        words = [None if each is None else str(each) for each in values]
        counts = {word: words.count(word) for word in dict.fromkeys(words) if word is not None}
        common = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_WORDS]
        places = {word: float(place) for place, word in enumerate(sorted(common))}
        rest = float(len(places))
        return cls(
            np.array([np.nan if each is None else places.get(each, rest) for each in words], float), ordered=False
        )

    @property
    def known(self) -> int:
        return int(np.isfinite(self.values).sum())

    def correlation(self, target: Numbers) -> float | None:
        """Spearman's with the target, over the runs that have a value; None for words and for what never differs."""
        there = np.isfinite(self.values)
        if not self.ordered or there.sum() < LEAST:
            return None
        mine, its = ranks(self.values[there]), ranks(target[there])
        if np.ptp(mine) == 0 or np.ptp(its) == 0:
            return None
        return float(np.corrcoef(mine, its)[0, 1])

    def bins(self) -> npt.NDArray[np.int64]:
        """Which bin each run is in: as many of about the same size as make sense, one a word, -1 for no value."""
        there = np.isfinite(self.values)
        found = np.full(len(self.values), -1)
        known = self.values[there]
        distinct = np.unique(known)
        wanted = min(MOST_BINS, max(2, len(known) // PER_BIN))
        if self.ordered and len(distinct) > wanted:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, wanted + 1)[1:-1]))
            found[there] = np.searchsorted(edges, known, side="right")
        else:
            found[there] = np.searchsorted(distinct, known)
        return found

    def matrix(self) -> Numbers:
        """What a forest is given: the numbers and whether there is one, or a column a word."""
        there = np.isfinite(self.values)
        if not self.ordered:
            return np.stack([self.values == place for place in np.unique(self.values[there])], 1).astype(float)
        filled = np.where(there, self.values, np.median(self.values[there]) if there.any() else 0.0)
        return np.stack([filled] if there.all() else [filled, there.astype(float)], 1)


def ranks(values: Numbers) -> Numbers:
    """Places in the order, from 1 on; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: Numbers = ends - (counts - 1) / 2
    found: Numbers = means[inverse]
    return found


def ratio(bins: npt.NDArray[np.int64], target: Numbers) -> float:
    """Kelley's epsilon squared of the target over bins; 0 where chance alone would give as much."""
    there = bins >= 0
    bins, target = bins[there], target[there]
    kinds, n = np.unique(bins), len(target)
    total = float(((target - target.mean()) ** 2).sum()) if n else 0.0
    if len(kinds) < 2 or n <= len(kinds) or total == 0:
        return 0.0
    within = sum(float(((part := target[bins == kind]) - part.mean()) @ (part - part.mean())) for kind in kinds)
    return max(0.0, 1 - (within / total) * (n - 1) / (n - len(kinds)))


def forest(features: Mapping[str, Feature], target: Numbers) -> tuple[float, dict[str, float]]:
    """How much of the variance a forest foretells of runs that it has not seen, and how much less without a column."""
    from sklearn.ensemble import RandomForestRegressor  # takes a second, and is not always there

    blocks = [each.matrix() for each in features.values()]
    whole, random = np.concatenate(blocks, 1), np.random.default_rng(0)
    starts = np.cumsum([0, *(block.shape[1] for block in blocks)])
    fold = random.permutation(len(target)) % FOLDS
    error, worse = 0.0, np.zeros(len(blocks))
    for held in range(FOLDS):
        inside, outside = fold != held, fold == held
        drawn = min(MOST_DRAWN, int(inside.sum()))
        model = RandomForestRegressor(TREES, min_samples_leaf=2, max_features=0.5, max_samples=drawn, random_state=0)
        model.fit(whole[inside], target[inside])
        asked, truth = whole[outside], target[outside]
        mistake = float(((model.predict(asked) - truth) ** 2).sum())
        error += mistake
        for place in range(len(blocks)):
            part = slice(starts[place], starts[place + 1])
            shuffled = np.tile(asked, (SHUFFLES, 1))
            shuffled[:, part] = np.concatenate([random.permutation(asked[:, part]) for _ in range(SHUFFLES)])
            mistakes = (model.predict(shuffled).reshape(SHUFFLES, -1) - truth) ** 2
            worse[place] += float(mistakes.sum()) / SHUFFLES - mistake
    total = float(((target - target.mean()) ** 2).sum())
    return 1 - error / total, {name: max(0.0, float(each)) for name, each in zip(features, worse / total, strict=True)}
