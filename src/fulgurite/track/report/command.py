"""`fulgurite report`: the words of the command, and what is said meanwhile."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fulgurite.base.errors import DataError, MissingExtra
from fulgurite.base.paths import atomic_write
from fulgurite.track.places import FOLDER
from fulgurite.track.report.chosen import Chooser
from fulgurite.track.report.page import Wish, page_of
from fulgurite.track.report.words import counted, size
from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.store import Store

USAGE = 2
MEGABYTE = 1e6


def main(words: Sequence[str]) -> int:
    """Do what the words behind `fulgurite report` say, and return the exit code."""
    chosen = _parser().parse_args(words)
    try:
        _write(chosen)
    except (StoreError, DataError, MissingExtra, OSError) as error:
        print(f"fulgurite report: {error}", file=sys.stderr)
        return USAGE
    return 0


def _write(chosen: argparse.Namespace) -> None:
    out = Path(chosen.out)
    if out.is_dir():
        raise DataError(f"{out} is a folder. Name a file with --out, such as {out / 'report.html'}.")
    store = Store(chosen.data)
    try:
        runs = Chooser(store, chosen.project, chosen.newest).runs(chosen.runs)
        page, budget = page_of(store, runs, Wish(chosen.title, chosen.key, chosen.max_size * MEGABYTE, chosen.static))
    finally:
        store.close()
    # What people log may hold letters that no file can: halves of pairs.
    content = page.encode("utf-8", "replace")
    with atomic_write(out) as file:
        file.write(content)
    print(f"{out}: {counted(len(runs), 'run')}, {size(len(content))}")
    if budget.left_out:
        print(f"{counted(budget.left_out, 'file')} left out and named in the page instead.", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fulgurite report",
        description="Write runs as one page that needs nothing beside it: charts, settings, results, tables, media.",
    )
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="a run's id, PROJECT/RUN, ENTITY/PROJECT/RUN, the name it is shown with, or a project for its newest runs",
    )
    parser.add_argument("--out", default="report.html", metavar="FILE", help="the page (default: %(default)s)")
    parser.add_argument("--project", metavar="P", help="look for runs in this project only; alone: its newest runs")
    parser.add_argument(
        "--newest", type=_count, default=20, metavar="N", help="how many runs of a project (default: %(default)s)"
    )
    parser.add_argument("--title", help="what stands at the top")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="PATTERN",
        help="draw only metrics of such a name, as 'val_*' (may be repeated)",
    )
    parser.add_argument(
        "--max-size",
        type=_megabytes,
        default=25.0,
        metavar="MB",
        help="leave out files that would make the page larger (default: %(default)g)",
    )
    parser.add_argument(
        "--static", action="store_true", help="pictures instead of charts that need a script: small (extra `plot`)"
    )
    parser.add_argument(
        "--data",
        "--folder",
        dest="data",
        metavar="DIR",
        help=f"the folder of the runs (default: ${FOLDER} or ~/.fulgurite)",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)


def _megabytes(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of megabytes")
    return number
