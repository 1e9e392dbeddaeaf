"""The words of `fulgurite anomaly`: its verbs and their options."""

import argparse
import difflib
import re
from collections.abc import Callable
from typing import Any, NoReturn

from fulgurite.anomaly.kinds import KINDS

EXAMPLES = """examples:
  fulgurite anomaly detect                                  see it work on a series that comes along
  fulgurite anomaly detect sensor.csv --split 50%           learn from the first half, find anomalies in the second
  fulgurite anomaly fit january.csv --out sensor            learn from rows that were mostly fine
  fulgurite anomaly score sensor/model.ckpt february.csv    scores.csv, events.csv and summary.json for other rows
  fulgurite anomaly report sensor                           draw them, as a picture and as a page
  tail -n +1 -f sensor.csv | fulgurite anomaly score sensor/model.ckpt - --follow

`fulgurite anomaly VERB --help` has the options of each.

exit codes:
  0    done
  1    a failure of the program itself
  2    the options or the rows can't be used as they are; one message says why
  3    with --exit-code: something was flagged
  130  stopped by Ctrl-C
"""

Verb = argparse.ArgumentParser


class Parser(argparse.ArgumentParser):
    """A parser that names the option that was probably meant, and shows texts as they were written."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        before, found, words = message.partition("unrecognized arguments: ")
        near = difflib.get_close_matches(words.split(" ")[0], self._known(), n=1) if found else []
        super().error(message + (f" (did you mean {near[0]}?)" if near else ""))

    def _known(self) -> list[str]:
        own = [word for action in self._actions for word in action.option_strings]
        verbs = [each for action in self._actions if isinstance(action, argparse._SubParsersAction) for each in
                 action.choices.values()]  # fmt: skip
        return own + [word for verb in verbs for word in verb._known()]


def parser() -> Parser:
    """The parser of all verbs; each leaves its name in ``verb``."""
    top = Parser(
        prog="fulgurite anomaly",
        description="Find anomalies in rows with a time: learn from a CSV, score another, see and judge the result.",
        epilog=EXAMPLES,
    )
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser)
    for name, (add, told) in VERBS.items():
        first = told.partition(". ")[0].rstrip(".")
        add(verbs.add_parser(name, help=first[0].lower() + first[1:], description=told))
    return top


def verbs() -> dict[str, argparse.ArgumentParser]:
    """The parser of each verb."""
    (found,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(found.choices)


def _fit(verb: Verb) -> None:
    verb.add_argument(
        "data", metavar="DATA.csv", help="the rows to learn from; mostly fine ones, but no label is needed"
    )
    _columns(verb)
    verb.add_argument(
        "--split", metavar="WHERE", help="learn only from the rows before a time (2014-02-01) or a share of them (70%%)"
    )
    _learning(verb)
    _looking_ahead(verb)
    _common(verb)
    _tracking(verb)
    _out(verb, "the folder for model.ckpt and config.yaml")


def _score(verb: Verb) -> None:
    verb.add_argument("model", metavar="MODEL", help="the model.ckpt of `fit`, or its folder")
    verb.add_argument(
        "data", metavar="DATA.csv", help="the rows to score, with the columns of training; - is standard input"
    )
    verb.add_argument("--exit-code", action="store_true", help="end with 3 if anything was flagged")
    verb.add_argument(
        "--follow", action="store_true", help="print rows with their scores as they arrive, on standard output, as CSV"
    )
    verb.add_argument(
        "--once", action="store_true", help="with --follow: end where the file ends now; the next run goes on there"
    )
    verb.add_argument(
        "--state",
        metavar="FILE",
        help="where --follow keeps what it remembers (default: follow.state beside the model)",
    )
    _out(verb, "the folder for scores.csv, events.csv and summary.json (default: the model's)", default=None)


def _report(verb: Verb) -> None:
    verb.add_argument("folder", metavar="DIR", help="the folder with scores.csv, events.csv and summary.json")


def _export(verb: Verb) -> None:
    verb.add_argument("model", metavar="MODEL", help="the model.ckpt of `fit`, or its folder")
    verb.add_argument(
        "--format", choices=("torch", "onnx"), default="torch", help="torch.export's program, or ONNX (default: torch)"
    )
    verb.add_argument(
        "--out", metavar="FILE", required=True, help="the file; what is needed around the network goes to FILE.json"
    )


def _evaluate(verb: Verb) -> None:
    verb.add_argument("data", metavar="DATA.csv", nargs="+", help="one or more files of one kind")
    _columns(verb)
    _two_parts(verb, "judge")
    _learning(verb)
    _common(verb)
    _out(verb, "the folder for evaluation.json")


def _detect(verb: Verb) -> None:
    verb.add_argument("data", metavar="DATA.csv", nargs="?", help="the rows; without it a series that comes along")
    verb.add_argument("--synthetic", action="store_true", help="use a made-up series, in which every anomaly is known")
    _columns(verb)
    _two_parts(verb, "score")
    verb.add_argument("--exit-code", action="store_true", help="end with 3 if anything was flagged")
    _learning(verb)
    _looking_ahead(verb)
    _common(verb)
    _tracking(verb)
    _out(verb, "the folder for all that comes out")


def _columns(verb: Verb) -> None:
    group = verb.add_argument_group("columns", "What is not named is guessed, and the guess is told.")
    group.add_argument("--time", metavar="COLUMN", help="the column of times")
    group.add_argument("--value", metavar="COLUMN", help="the column that is watched")
    group.add_argument("--continuous", metavar="A,B", help="further columns of numbers")
    group.add_argument("--categorical", metavar="C,D", help="further columns of words")
    group.add_argument("--label", metavar="COLUMN", help="a column that is true in known anomalies; never learned from")


def _two_parts(verb: Verb, then: str) -> None:
    verb.add_argument(
        "--windows", metavar="FILE.json", help="the times of known anomalies, by file name, in place of a label column"
    )
    told = f"learn from the rows before it, {then} those after it (default: 50%%)"
    verb.add_argument("--split", metavar="WHERE", default="50%", help=told)


def _learning(verb: Verb) -> None:
    group = verb.add_argument_group("learning")
    group.add_argument(
        "--model",
        choices=tuple(KINDS),
        default="window",
        help="window: looks at the rows before each row (default); seed: the VAE of single rows",
    )
    group.add_argument(
        "--threshold",
        metavar="RULE",
        help="normalised:3, quantile:0.999, pot:1e-4, fixed:2.5 or scored:0.999 (default: what suits the model)",
    )
    group.add_argument(
        "--normalise",
        action=argparse.BooleanOptionalAction,
        help="measure scores by their own past (default: what suits the model)",
    )
    group.add_argument("--holidays", metavar="COUNTRY", help="whose holidays to know: US, DE-BY, ...")
    group.add_argument(
        "--epochs", metavar="N", type=_from(1), help="how often to go over the rows (default: what suits the model)"
    )
    group.add_argument("--seed", metavar="N", type=_from(0), default=0, help="of the random numbers (default: 0)")


def _from(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} was given, expected a whole number from {least} on")
        return int(text)

    return whole


def _looking_ahead(verb: Verb) -> None:
    verb.add_argument("--offline", action="store_true", help="look at later rows too; not for rows as they arrive")


def _common(verb: Verb) -> None:
    verb.add_argument("--config", metavar="FILE.yaml", help="options from a file; those given here have the last word")


def _tracking(verb: Verb) -> None:
    verb.add_argument(
        "--logger",
        choices=("csv", "track", "wandb", "none"),
        default="csv",
        help="where the run is recorded: DIR/runs (csv, the default), for `fulgurite ui` (track), W&B, or nowhere",
    )


def _out(verb: Verb, told: str, default: str | None = "anomaly") -> None:
    told = f"{told} (default: {default})" if default else told
    verb.add_argument("--out", metavar="DIR", default=default, help=told)


VERBS = {
    "detect": (
        _detect,
        "All in a row: learn from the first part of the rows, score the rest, draw and judge the result.",
    ),
    "fit": (_fit, "Learn from a CSV file what is usual, and write a model."),
    "score": (
        _score,
        "Score the rows of a CSV file by a model: a score, a flag and the expected value for each, and the events.",
    ),
    "report": (_report, "Draw scored rows as a picture (PNG, and HTML to zoom in) and as a page."),
    "evaluate": (_evaluate, "Measure the model and plain methods beside it against known anomalies."),
    "export": (_export, "Write a model's network for other programs."),
}
