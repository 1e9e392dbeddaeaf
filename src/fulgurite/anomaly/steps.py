"""The steps that the verbs of `fulgurite anomaly` are made of."""

import argparse
import io
import json
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fulgurite.anomaly.config import as_config, split_names
from fulgurite.anomaly.detector import AnomalyDetector
from fulgurite.anomaly.kinds import kind_of
from fulgurite.anomaly.labels import labels_of, read_windows
from fulgurite.anomaly.losses import Losses
from fulgurite.anomaly.reading import read
from fulgurite.anomaly.result import summarise, write_events, write_summary
from fulgurite.anomaly.rows import spans
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.sources import default_series
from fulgurite.anomaly.split import place_of
from fulgurite.anomaly.telling import bar, note
from fulgurite.anomaly.textfile import Source
from fulgurite.anomaly.tracked import Run, open_run
from fulgurite.anomaly.verdict import Verdict
from fulgurite.anomaly.words import counted, moment
from fulgurite.anomaly.writing import write_scores
from fulgurite.base.paths import atomic_write

MODEL, CONFIG = "model.ckpt", "config.yaml"
#: What is drawn and told of scores is no longer true when there are others.
DRAWN = ("picture.png", "picture.html", "report.html")


@dataclass(frozen=True)
class Rows:
    """Rows and where they are from; those from the place ``begin`` on are to be scored."""

    source: Source | Series
    series: Series
    name: str
    begin: int = 0

    @property
    def scored(self) -> Series:
        return self.series.rows(self.begin)

    @property
    def learned(self) -> Series:
        return self.series.rows(None, self.begin)

    @property
    def time_name(self) -> str | None:
        """What the column of times is called in the file of scores."""
        made = "time" if self.series.clock is not None else None
        return made if isinstance(self.source, Series) else getattr(self.series, "time_name", None)

    def split_at(self, where: str) -> "Rows":
        return replace(self, begin=place_of(where, self.series))

    @property
    def split(self) -> str | None:
        """Where the split is, in a sentence."""
        if not self.begin:
            return None
        series, at = self.series, self.begin
        zone = " UTC" if series.clock is not None and (series.clock != series.time).any() else ""
        from_there = f" from {moment(series.time[at])}{zone} on" if series.clock is not None else ""
        return f"Learned from the first {counted(at, 'row')}; scored are the {len(series) - at:,}{from_there}."


class Again(io.BytesIO):
    """Bytes that every `read` gives from the beginning; standard input comes only once."""

    def read(self, size: int | None = -1, /) -> bytes:
        return self.getvalue()


# -- reading --


def rows_of(source: Source, name: str, columns: Mapping[str, Any]) -> Rows:
    """The rows of a file, with all that was guessed and repaired told."""
    with bar("Reading") as done:
        series = read(source, **columns, done=done)
    for told in series.notes:
        note(told)
    return Rows(source, series, name)


def chosen_columns(chosen: argparse.Namespace) -> dict[str, Any]:
    said = {name: getattr(chosen, name) for name in ("continuous", "categorical")}
    lists = {name: None if names is None else split_names(names) for name, names in said.items()}
    return {**{name: getattr(chosen, name) for name in ("time", "value", "label")}, **lists}


def labelled(rows: Rows, windows: str | None) -> Rows:
    """The rows with the labels of a file of windows, where one is given."""
    if windows is None:
        return rows
    return replace(rows, series=replace(rows.series, label=labels_of(rows.series, read_windows(windows, rows.name))))


def rows_that_come_along(synthetic: bool, seed: int) -> Rows:
    """The rows for who has brought none, with their labels."""
    found = default_series(synthetic, seed)
    note(f"{found.note}.")
    if isinstance(found.source, Series):
        return Rows(found.source, found.source, "a made-up series")
    rows = rows_of(found.source, found.source.name, {})
    return replace(rows, series=replace(rows.series, label=found.label))


# -- learning --


def settings(chosen: argparse.Namespace) -> dict[str, Any]:
    """What is said of the model, but for the random numbers and whether it looks ahead."""
    return {name: getattr(chosen, name) for name in ("model", "threshold", "normalise", "holidays", "epochs")}


def learned(chosen: argparse.Namespace, rows: Series, run: Run) -> tuple[AnomalyDetector, dict[str, Any]]:
    """A detector that has learned from the rows, from the file that it is kept in, and what to tell of its training."""
    losses, began = Losses(), time.perf_counter()
    trainer = {
        "logger": run.logger,
        "callbacks": [losses],
        "enable_progress_bar": sys.stderr.isatty(),
        "log_every_n_steps": 10,
    }
    detector = AnomalyDetector(**settings(chosen), offline=chosen.offline, seed=chosen.seed, trainer=trainer)
    with redirect_stdout(sys.stderr):  # the Trainer's bar writes to standard output, which is for results
        detector.fit(rows)
    seconds = time.perf_counter() - began
    for told in detector.notes_[len(rows.notes) :]:  # those of the rows were told when they were read
        note(told)
    _keep(detector, chosen, run)
    training = {"rows": len(rows), "epochs": losses.epochs, "seconds": seconds, "losses": losses.losses}
    # Loaded again: what is scored with here is what the file holds for any other machine.
    return AnomalyDetector.load(Path(chosen.out, MODEL)), training


def _keep(detector: AnomalyDetector, chosen: argparse.Namespace, run: Run) -> None:
    import yaml  # late: only who learns writes options

    model, config = Path(chosen.out, MODEL), Path(chosen.out, CONFIG)
    replaced = model.exists()
    detector.save(model)
    with atomic_write(config, "w", encoding="utf-8") as file:
        yaml.safe_dump(as_config(chosen), file, sort_keys=False, allow_unicode=True)
    run.keep(model)
    note(f"The model is {model}{', in place of one that was there' if replaced else ''}.")


@contextmanager
def recorded(chosen: argparse.Namespace, name: str) -> Iterator[Run]:
    """A run of the logger that was chosen. One that failed leaves no half of a record."""
    run = open_run(chosen.logger, Path(chosen.out), f"{Path(name).stem}-{chosen.model}")
    try:
        run.config({**as_config(chosen), "data": name})
        yield run
    except BaseException:
        run.close(failed=True)
        raise
    if (where := run.where()) is not None:
        note(f"The run is recorded in {where}.")
    run.close()


def tested(detector: AnomalyDetector, rows: Rows, run: Run) -> None:
    """Tell and record the loss of the rows that were scored, of a model that is tested as the document's is."""
    if hasattr(detector.model_, "test"):
        with redirect_stdout(sys.stderr):
            loss = detector.model_.test(rows.scored)
        run.metrics({"test_loss": loss})
        note(f"The test_loss, the mean loss of the rows scored, is {loss:.4f}.")


# -- scoring --


def scored(
    detector: AnomalyDetector,
    rows: Rows,
    out: Path,
    words: list[str],
    training: Mapping[str, Any] | None = None,
) -> tuple[Verdict, dict[str, Any]]:
    """The verdict on the rows and its summary; they are in the folder ``out`` then, as scores.csv and so on."""
    began = time.perf_counter()
    with bar("Scoring", len(rows.scored)) as done:
        verdict = detector.judge(rows.scored, follows=True if rows.begin else None, done=done)
    seconds = time.perf_counter() - began
    for told in verdict.notes:
        note(told)
    note(f"Scored {counted(len(rows.scored), 'row')} in {seconds:.3g} s.")
    _remove_drawn(out)
    with bar("Writing", len(rows.series)) as done:
        names = write_scores(rows.source, verdict.at_source(len(rows.series)), out / "scores.csv", done)
    write_events(verdict.events, out / "events.csv", rows.series)
    summary = summarise(
        verdict,
        file=rows.name,
        command=shlex.join(["fulgurite", "anomaly", *words]),
        model=_about(detector, seconds),
        refractory=detector.refractory_,
        time=rows.time_name,
        split=rows.split,
        training=training,
        columns=names,
        known=None if rows.series.label is None else spans(rows.series.time, rows.series.label),
        notes=rows.series.notes,
    )
    write_summary(summary, out / "summary.json")
    return verdict, summary


def _about(detector: AnomalyDetector, seconds: float) -> dict[str, Any]:
    name = detector.model if isinstance(detector.model, str) else type(detector.model).__name__
    return {"kind": name, "told": kind_of(detector.model).told, "seconds": round(seconds, 3)}


def _remove_drawn(out: Path) -> None:
    stale = [name for name in DRAWN if (out / name).exists()]
    for name in stale:
        (out / name).unlink()
    if stale:
        note(f"{out} had {', '.join(stale)} of earlier scores: removed.")


def write_json(path: Path, content: Any) -> None:
    with atomic_write(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False)
        file.write("\n")
