"""What each verb of `fulgurite anomaly` does."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fulgurite.anomaly import steps
from fulgurite.anomaly.detector import AnomalyDetector
from fulgurite.anomaly.result import Result
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.telling import bar, note
from fulgurite.anomaly.tracked import Run
from fulgurite.anomaly.verdict import Verdict
from fulgurite.anomaly.words import counted
from fulgurite.base.errors import DataError, MissingExtra

EVALUATION = "evaluation.json"
FOUND = 3
#: The plain methods take minutes for more.
MOST_COMPARED = 100_000


def fit(chosen: argparse.Namespace) -> int:
    rows = steps.rows_of(chosen.data, chosen.data, steps.chosen_columns(chosen))
    series = rows.series if chosen.split is None else rows.split_at(chosen.split).learned
    with steps.recorded(chosen, rows.name) as run:
        steps.learned(chosen, series, run)
    print(f"Learned from {counted(len(series), 'row')}. Next: fulgurite anomaly score {chosen.out} DATA.csv")
    return 0


def score(chosen: argparse.Namespace) -> int:
    model = _model_file(chosen.model)
    if chosen.follow:
        return _follow(chosen, model)
    detector = AnomalyDetector.load(model)
    source, name = _source(chosen.data)
    with detector.schema_.told():
        rows = steps.rows_of(source, name, detector.schema_.columns)
    out = Path(chosen.out or model.parent)
    verdict, summary = steps.scored(detector, rows, out, chosen.words)
    _show(Result.of(verdict, summary), out, f"To draw them: fulgurite anomaly report {out}")
    return _code(chosen, int(verdict.flags.sum()))


def report(chosen: argparse.Namespace) -> int:
    from fulgurite.anomaly.report import write_report

    with bar("Reading") as done:
        result = Result.read(chosen.folder, done)
    with bar("Drawing"):
        paths = write_report(result, chosen.folder)
    for path in paths:
        print(path)
    return 0


def evaluate(chosen: argparse.Namespace) -> int:
    from fulgurite.anomaly.judge.evaluate import evaluate, ours

    columns, path = steps.chosen_columns(chosen), Path(chosen.out, EVALUATION)
    files = {name: steps.labelled(steps.rows_of(name, name, columns), chosen.windows).series for name in chosen.data}
    entries = ours(chosen.model, **steps.settings(chosen))
    found = evaluate(files, entries, chosen.split, seeds=(chosen.seed,), progress=sys.stderr.isatty())
    steps.write_json(path, found.to_dict())
    print(f"{found.table()}\n\n{path} has all numbers.")
    return 0


def export(chosen: argparse.Namespace) -> int:
    from fulgurite.anomaly.export import export

    for path in export(AnomalyDetector.load(_model_file(chosen.model)), chosen.out, chosen.format):
        print(path)
    return 0


def detect(chosen: argparse.Namespace) -> int:
    rows, out = _rows(chosen).split_at(chosen.split), Path(chosen.out)
    with steps.recorded(chosen, rows.name) as run:
        detector, training = steps.learned(chosen, rows.learned, run)
        verdict, summary = steps.scored(detector, rows, out, chosen.words, training)
        steps.tested(detector, rows, run)
        table = _compared(verdict, rows, chosen, out, training["seconds"] + summary["model"]["seconds"])
        result = _drawn(out)
        _record(run, result, out)
    _show(result, out, f"Now open {out / 'report.html'}.")
    if table:
        print(f"\n{table}")
    return _code(chosen, int(verdict.flags.sum()))


def _follow(chosen: argparse.Namespace, model: Path) -> int:
    from fulgurite.anomaly.follow import follow

    state = Path(chosen.state or model.with_name("follow.state"))
    return _code(chosen, follow(model, chosen.data, state, chosen.once))


def _source(data: str) -> tuple[Any, str]:
    return (steps.Again(sys.stdin.buffer.read()), "standard input") if data == "-" else (data, data)


def _model_file(given: str) -> Path:
    return Path(given, "model.ckpt") if Path(given).is_dir() else Path(given)


def _code(chosen: argparse.Namespace, flagged: int) -> int:
    return FOUND if chosen.exit_code and flagged else 0


def _show(result: Result, out: Path, then: str) -> None:
    from fulgurite.anomaly.report import summary_text

    print(f"{summary_text(result)}\n\n{out} has scores.csv, events.csv and summary.json. {then}")


# -- all in a row --


def _rows(chosen: argparse.Namespace) -> steps.Rows:
    if chosen.data is not None and not chosen.synthetic:
        return steps.labelled(steps.rows_of(chosen.data, chosen.data, steps.chosen_columns(chosen)), chosen.windows)
    if chosen.data is not None:
        raise DataError(f"--synthetic makes up rows, and {chosen.data} was given: leave out one of them.")
    return steps.rows_that_come_along(chosen.synthetic, chosen.seed)


@dataclass(frozen=True)
class _Judged:
    """A detector that has learned and judged already."""

    verdict: Verdict

    def fit(self, series: Series) -> None: ...

    def judge(self, series: Series, follows: bool | None = None) -> Verdict:
        return self.verdict


def _compared(verdict: Verdict, rows: steps.Rows, chosen: argparse.Namespace, out: Path, spent: float) -> str | None:
    """A table of the verdict, which took ``spent`` seconds, and of plain methods, where there are labels."""
    from fulgurite.anomaly.judge.baselines import baselines
    from fulgurite.anomaly.judge.evaluate import Entry, evaluate

    path = out / EVALUATION
    path.unlink(missing_ok=True)  # it may tell of other rows
    if rows.series.label is None:
        return None
    if len(rows.series) > MOST_COMPARED:
        note(f"More than {MOST_COMPARED:,} rows: to compare with plain methods, call fulgurite anomaly evaluate.")
        return None
    entry = Entry(chosen.model, lambda seed: _Judged(verdict), causal=not chosen.offline, spent=spent)
    # The matrix profile compiles for half a minute; `evaluate` has it.
    others = [baseline for baseline in baselines() if baseline.package != "stumpy"]
    files, shown = {rows.name: rows.series}, sys.stderr.isatty()
    try:
        found = evaluate(files, [entry], chosen.split, others=others, progress=shown)
    except (DataError, MissingExtra) as error:
        note(f"Not compared with plain methods. {error}")
        return None
    steps.write_json(path, found.to_dict())
    return found.table()


def _drawn(out: Path) -> Result:
    from fulgurite.anomaly.report import write_report

    result = Result.read(out)
    write_report(result, out)
    return result


def _record(run: Run, result: Result, out: Path) -> None:
    found = result.summary["found"]
    numbers = {name: found[name] for name in ("events", "flagged", "share", "unscored")}
    if result.evaluation is not None:
        ours = next(line for line in result.evaluation.lines() if line.kind == "ours")
        numbers |= {name: value for name, value in ours.means.items() if value is not None}
    run.metrics({f"anomaly/{name}": float(value) for name, value in numbers.items()})
    for name in ("picture.png", "events.csv", "summary.json", "report.html", EVALUATION):
        if (out / name).exists():
            run.keep(out / name)


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "detect": detect,
    "fit": fit,
    "score": score,
    "report": report,
    "evaluate": evaluate,
    "export": export,
}
