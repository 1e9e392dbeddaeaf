"""Rows in, anomalies out: the whole way, with scikit-learn's verbs."""

import copy
import inspect
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from fulgurite.anomaly import frames
from fulgurite.anomaly.arrange import check_for_fit
from fulgurite.anomaly.kinds import Kind, kind_of, new_model, past_of, reach, rows_apart, scorer_of
from fulgurite.anomaly.model import Model, check_model, check_setting
from fulgurite.anomaly.saved import read_marked, write_marked
from fulgurite.anomaly.schema import Schema
from fulgurite.anomaly.scorer import Scorer
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.stream import Stream
from fulgurite.anomaly.threshold import Threshold
from fulgurite.anomaly.verdict import Verdict, remarks
from fulgurite.base.arguments import fitting, kinds_of
from fulgurite.base.errors import CheckpointError, MisconfigurationException
from fulgurite.base.rank import log
from fulgurite.base.seed import MAX_SEED

#: What a Trainer writes and shows is for whoever trains, and asks for it by ``trainer``.
QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
CALIBRATION = 0.2  # the last part of the training rows, which the model does not learn from


class AnomalyDetector:
    """Learns from rows with a time what is usual, and scores others: higher is stranger.

    ``model`` is "window" (the default) or "seed" (the document's), or an object like `fulgurite.anomaly.model.Model`.
    ``threshold`` is a rule such as "normalised:3", "quantile:0.999", "pot:1e-4", "fixed:2.5" or "scored:0.999", and
    ``normalise`` says whether scores are measured by their own past; None takes what suits the model. ``offline`` ranks
    rows by what is on both sides of them, and flags those that it would flag live. ``holidays`` is a country such as
    "US" or "DE-BY", ``epochs`` how often to go over the rows. Flagged rows at most ``refractory`` rows apart are one
    event. ``options`` go to the model, ``trainer`` to the `Trainer`.

    No label is ever looked at. The model learns from the first 80 % of the training rows; scores and threshold are
    calibrated on the rest, which it has not seen. Where there is nothing to calibrate, it learns from all.
    """

    def __init__(
        self,
        model: str | Model = "window",
        *,
        threshold: str | None = None,
        normalise: bool | None = None,
        offline: bool = False,
        holidays: str | None = None,
        epochs: int | None = None,
        seed: int = 0,
        refractory: int | None = None,
        options: Mapping[str, Any] | None = None,
        trainer: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.threshold = threshold
        self.normalise = normalise
        self.offline = offline
        self.holidays = holidays
        self.epochs = epochs
        self.seed = seed
        self.refractory = refractory
        self.options = options
        self.trainer = trainer

    # -- scikit-learn's conventions --

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _parameters()}

    def set_params(self, **params: Any) -> "AnomalyDetector":
        unknown = sorted(params.keys() - _parameters().keys())
        if unknown:
            raise ValueError(f"AnomalyDetector has no {unknown[0]!r}. It has {', '.join(_parameters())}.")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        usual = {name: entry.default for name, entry in _parameters().items()}
        told = [f"{name}={value!r}" for name, value in self.get_params().items() if value != usual[name]]
        return f"AnomalyDetector({', '.join(told)})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's pipelines and checks ask an estimator: an outlier detector that takes tables."""
        from sklearn.utils import InputTags, Tags, TargetTags  # late: only scikit-learn asks

        return Tags(
            estimator_type="outlier_detector",
            target_tags=TargetTags(required=False),
            input_tags=InputTags(allow_nan=True, string=True),
        )

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The names of the columns learned from, the value first."""
        schema = self._fitted().schema_
        return np.array([schema.value, *schema.continuous, *schema.categorical], dtype=object)

    @property
    def n_features_in_(self) -> int:
        return len(self.feature_names_in_)

    # -- the way --

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        time: str | None = None,
        value: str | None = None,
        continuous: Sequence[str] | None = None,
        categorical: Sequence[str] | None = None,
    ) -> "AnomalyDetector":
        """Learn from a pandas or polars frame, an array or a `Series`; ``y`` is not looked at.

        The columns of the time and of the watched value are guessed where they are not named. ``notes_`` tells what was
        guessed, repaired and learned. Raises ``DataError`` for rows that can't be used.
        """
        asked = self._asked()
        series = _series(X, time=time, value=value, continuous=continuous, categorical=categorical)
        threshold, normalise = _rule(asked, kind_of(self.model))
        model = new_model(self.model, _settings(asked))
        calibrates = normalise or threshold.needs_calibration or hasattr(model, "calibrate")
        learned, rest = _parts(series, calibrates)
        check_for_fit(learned, window=1)  # a model may need more, and says so
        with _hushed():
            model.fit(learned, {**QUIET, **(asked["trainer"] or {})})
        self.model_, self.threshold_, self.schema_ = model, threshold, Schema.of(series)
        self.refractory_ = rows_apart(model) if asked["refractory"] is None else asked["refractory"]
        self._scorer = scorer_of(model, normalise, bool(asked["offline"]), learned)
        own = self._scorer.learn(learned, rest)
        if len(rest):
            threshold.fit(own)
        self._last = None if series.clock is None else series.time[-1]
        told = getattr(model, "notes", ())
        self.notes_ = [*series.notes, *told, _told(len(learned), len(rest)), threshold.explain()]
        self._fit_notes = self.notes_
        return self

    def score(self, X: Any, y: Any = None, *, follows: bool | None = None) -> Any:
        """Score rows: a frame of the kind that was given (pandas for an array), its own columns and ours behind them.

        Rows that follow the training rows go on from them; others start anew, and the first ones, too few to fill the
        model's window, get no score. ``follows`` says which it is, None leaves that to the times. ``events_`` and
        ``notes_`` then tell of these rows. Raises ``DataError`` for rows with other columns than those of training.
        """
        schema = self._fitted().schema_
        follows = fitting(follows, bool | None, "AnomalyDetector.score(follows={})")
        with schema.told():
            series = _series(X, **schema.columns)
        verdict = self.judge(series, follows)
        self.events_ = list(verdict.events)
        self.notes_ = [*series.notes, *verdict.notes, verdict.threshold.explain()]
        return verdict if isinstance(X, Series) else frames.beside(X, verdict)

    def judge(
        self, series: Series, follows: bool | None = None, done: Callable[[int], object] | None = None
    ) -> Verdict:
        """The verdict on a whole series; nothing here is changed. ``done`` is told of rows as they pass."""
        stream, notes = self.stream(series, follows)
        verdict = stream.update(series, done)
        events = (*verdict.events, *stream.close())
        return replace(verdict, events=events, notes=(*notes, *remarks(verdict, reach(self.model_) - 1)))

    def stream(self, first: Series, follows: bool | None = None) -> tuple[Stream, list[str]]:
        """What judges rows as they come, beginning with ``first``, and what there is to say of these rows."""
        notes = self._fitted().schema_.check(first)
        goes_on = self._follows(first) if follows is None else follows
        if not goes_on and reach(self.model_) > 1:
            filling = reach(self.model_) - 1
            notes.append(
                f"The rows do not follow those of training: the first {filling} only fill the window and get no score."
            )
        return Stream(self._scorer.copy(anew=not goes_on), copy.deepcopy(self.threshold_), self.refractory_), notes

    def _follows(self, series: Series) -> bool:
        """Whether the first row comes after the last one of training, and within a window of it."""
        if self._last is None or series.clock is None or not len(series):
            return False
        gap = (series.time[0] - self._last) / np.timedelta64(1, "s")
        return 0 < gap <= reach(self.model_) * self.schema_.step

    # -- the file --

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all that scoring needs, as plain data: columns, words, scalers, weights, threshold and the past."""
        self._fitted()
        named = isinstance(self.model, str)
        state = {
            "params": {**self.get_params(), "model": self.model if named else None, "trainer": None},
            "class": f"{type(self.model_).__module__}.{type(self.model_).__qualname__}",
            "model": self.model_.state_dict(),
            "scorer": self._scorer.state_dict(),
            "threshold": self.threshold_.state_dict(),
            "schema": self.schema_.state_dict(),
            "normalise": self._scorer.past is not None,
            "refractory": self.refractory_,
            "last": self._last,
            "notes": self._fit_notes,
        }
        write_marked(state, path, "model")

    @classmethod
    def load(cls, path: str | os.PathLike[str], model: Model | None = None) -> "AnomalyDetector":
        """The detector in a file, ready to score. A ``model`` of the user's own is given as it was made for `fit`.

        Nothing in the file is run. Raises ``FileNotFoundError`` and ``CheckpointError``.
        """
        state = read_marked(path, "model")
        try:
            return cls._from_state(state, path, model)
        except KeyError as error:
            raise CheckpointError(
                f"{os.fspath(path)!r} lacks {error}: it is damaged, or of another program."
            ) from error

    @classmethod
    def _from_state(
        cls, state: Mapping[str, Any], path: str | os.PathLike[str], model: Model | None
    ) -> "AnomalyDetector":
        params = state["params"]
        if params["model"] is None and model is None:
            raise CheckpointError(f"{os.fspath(path)!r} holds a {state['class']}: give one, load(path, model=...).")
        if "past" in state["scorer"].get("hindsight", {}):
            raise CheckpointError(
                f"{os.fspath(path)!r} was fitted with offline=True by an earlier version, which measured windows of "
                "all widths by one past. Fit it again."
            )
        detector = cls(**{**params, "model": params["model"] or model})
        detector._take(state)
        return detector

    def _take(self, state: Mapping[str, Any]) -> None:
        self.model_ = new_model(self.model, {})
        self.model_.load_state_dict(state["model"])
        self.threshold_ = Threshold("fixed", 0.0)
        self.threshold_.load_state_dict(state["threshold"])
        self.schema_ = Schema.from_state(state["schema"])
        self.refractory_, self._last = state["refractory"], state["last"]
        self.notes_ = self._fit_notes = list(state["notes"])
        self._scorer = Scorer(self.model_, past_of(self.model_, self.offline) if state["normalise"] else None)
        self._scorer.load_state_dict(state["scorer"])

    def _asked(self) -> dict[str, Any]:
        """The parameters, numbers of NumPy as plain ones; they are checked here, since scikit-learn sets some later."""
        check_model(self.model)
        kinds = {**kinds_of(AnomalyDetector.__init__), "model": Any}
        asked = {
            name: fitting(value, kinds[name], f"AnomalyDetector({name}={{}})")
            for name, value in self.get_params().items()
        }
        check_setting("epochs", asked["epochs"], 1)
        check_setting("refractory", asked["refractory"], 1)
        check_setting("seed", asked["seed"], 0, MAX_SEED)
        return asked

    def _fitted(self) -> "AnomalyDetector":
        if not hasattr(self, "model_"):
            raise MisconfigurationException(
                "This AnomalyDetector has learned nothing yet: call fit(...), or load(path)."
            )
        return self


def _parameters() -> Mapping[str, inspect.Parameter]:
    return inspect.signature(AnomalyDetector).parameters


def _rule(asked: Mapping[str, Any], kind: Kind) -> tuple[Threshold, bool]:
    """The threshold, and whether scores are measured by their own past: two choices that have to fit each other."""
    text, wanted = asked["threshold"], asked["normalise"]
    normalise = kind.normalise if wanted is None else bool(wanted)
    if text is None:
        usual = kind.threshold if normalise == kind.normalise else ("normalised" if normalise else "quantile")
        return Threshold.parse(usual), normalise
    threshold = Threshold.parse(text)
    needed = threshold.rule == "normalised"
    if needed and wanted is not None and not wanted:
        raise MisconfigurationException(
            f"threshold={text!r} counts standard deviations of the past, which normalise=False does not measure. Leave "
            "one of them out, or choose quantile:0.999, pot:1e-4 or fixed:NUMBER."
        )
    return threshold, needed or normalise


def _settings(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the model is made with; what is not said here is left to it."""
    said = {name: asked[name] for name in ("holidays", "epochs", "seed") if asked[name] is not None}
    return {**said, **(asked["options"] or {})}


def _series(X: Any, **columns: Any) -> Series:
    return X if isinstance(X, Series) else frames.series_of(X, **columns)


@contextmanager
def _hushed() -> Iterator[None]:
    """Without the Trainer's advice on its own arguments: who fits a detector did not choose them."""
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="An epoch has .* training batches")
            yield
    finally:
        log.setLevel(level)


def _parts(series: Series, calibrates: bool) -> tuple[Series, Series]:
    """The rows to learn from, and those to calibrate on: the last fifth of the rows with a number."""
    whole = np.flatnonzero(np.isfinite(series.value))
    kept = int(len(whole) * CALIBRATION) if calibrates else 0
    cut = int(whole[-kept]) if kept else len(series)
    return series.rows(None, cut), series.rows(cut)


def _told(learned: int, rest: int) -> str:
    if not rest:
        return f"Learned from {learned:,} rows; nothing had to be calibrated."
    return f"Learned from the first {learned:,} training rows, calibrated on the last {rest:,}, which were not learned."
