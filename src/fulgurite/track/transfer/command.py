"""`fulgurite export` and `fulgurite import`: what the words mean, and what is said meanwhile."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fulgurite.base.errors import DataError, MissingExtra
from fulgurite.base.optional import available, require
from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.runs import ENTITY, Run
from fulgurite.track.store.store import Store
from fulgurite.track.transfer import from_csv, from_rescue, from_tensorboard
from fulgurite.track.transfer.exporting import export
from fulgurite.track.transfer.to_wandb import write_offline

USAGE = 2
DATA_HELP = "the data folder ($FULGURITE_DIR or ~/.fulgurite)"


def main(words: Sequence[str]) -> int:
    """Do what the words say, the first being `export` or `import`, and return the exit code."""
    verb, parser = words[0], _parser(words[0])
    chosen = parser.parse_args(words[1:])
    try:
        store = Store(chosen.data)
        try:
            return _export(store, chosen) if verb == "export" else _import(store, chosen)
        finally:
            store.close()
    except (StoreError, DataError, MissingExtra, OSError) as error:
        print(f"fulgurite {verb}: {error}", file=sys.stderr)
        return USAGE


def _export(store: Store, chosen: argparse.Namespace) -> int:
    if Path(chosen.out).exists() and not Path(chosen.out).is_dir():
        raise DataError(f"{chosen.out} is no folder. Name one with --out.")
    runs = [run for what in chosen.what or [""] for run in _runs(store, what)]
    if not runs:
        print(f"fulgurite export: there are no runs in {store.folder}.", file=sys.stderr)
        return USAGE
    if chosen.format == "wandb":
        for path in write_offline(store, runs, chosen.out):
            print(path)
        print(f"To send them to a W&B server: wandb sync {chosen.out}/wandb/offline-run-*")
    else:
        export(store, runs, chosen.out, chosen.format, chosen.files, told=print)
    return 0


def _runs(store: Store, what: str) -> list[Run]:
    """The runs that ``PROJECT``, ``PROJECT/RUN`` or ``ENTITY/PROJECT[/RUN]`` means; all of them for an empty text."""
    if not what:
        return [run for project in store.runs.projects() for run in store.runs.all(project)]
    for entity, project, name in _readings(what):
        try:
            found = store.runs.project(project, entity)
            return [store.runs.find(found, name)] if name else store.runs.all(found)
        except StoreError:
            continue
    known = ", ".join(sorted(project.name for project in store.runs.projects())) or "none"
    raise DataError(f"{what!r} is no project and no run. Write PROJECT or PROJECT/RUN; the projects are: {known}.")


def _readings(what: str) -> list[tuple[str, str, str]]:
    head, _, tail = what.partition("/")
    inner, _, last = tail.partition("/")
    return [(ENTITY, what, ""), (ENTITY, head, tail), (head, inner, last)]


def _import(store: Store, chosen: argparse.Namespace) -> int:
    taken = 0
    given = [Path(path) for path in chosen.path]
    missing = [path for path in given if not path.exists()]
    for path in given:
        for find, take in _WAYS:
            for folder in find(path) or _folder_of(path, find):
                run = take(store, folder, chosen.project or (path if path.is_dir() else path.parent).resolve().name)
                print(f"{folder} is run {run.project.name}/{run.name}")
                taken += 1
    for path in missing:
        print(f"fulgurite import: there is no {path}.", file=sys.stderr)
    if not taken and not missing:
        print(
            "fulgurite import: no runs were found. Looked for metrics.csv (CSVLogger), event files (TensorBoard), "
            "offline runs (W&B) and fulgurite-rescue-*.jsonl (what a full or locked store did not take).",
            file=sys.stderr,
        )
    return 0 if taken and not missing else USAGE


def _folder_of(path: Path, find: Callable[[Path], list[Path]]) -> list[Path]:
    """The folder of a file that was named, if the runs of ``find`` have such files."""
    is_a_runs = path.is_file() and any(path.match(each) for each in _FILES)
    return [folder for folder in find(path.parent) if folder == path.parent] if is_a_runs else []


def _find_wandb(path: Path) -> list[Path]:
    """Offline runs; to see that there are none nothing need be installed."""
    if not available("google.protobuf") and not (path.is_dir() and next(path.rglob("*.wandb"), None)):
        return []
    return _from_wandb().find(path)


def _take_wandb(store: Store, folder: Path, project: str) -> Run:
    return _from_wandb().take(store, folder, project)


def _from_wandb() -> Any:
    require("google.protobuf", "track")
    from fulgurite.track.transfer import from_wandb  # late: only now it is known that its package is there

    return from_wandb


_FILES = ("metrics.csv", from_tensorboard.PATTERN, "*.wandb")
_WAYS: list[tuple[Callable[[Path], list[Path]], Callable[[Store, Path, str], Run]]] = [
    (from_csv.find, from_csv.take),
    (from_tensorboard.find, from_tensorboard.take),
    (_find_wandb, _take_wandb),
    (from_rescue.find, from_rescue.take),
]


def _parser(verb: str) -> argparse.ArgumentParser:
    if verb == "export":
        parser = argparse.ArgumentParser(prog="fulgurite export", description="Write runs to plain files.")
        parser.add_argument("what", nargs="*", help="PROJECT or PROJECT/RUN; everything, if none is named")
        parser.add_argument("--out", default="export", metavar="DIR", help="where to (default: ./export)")
        parser.add_argument(
            "--format",
            choices=("parquet", "csv", "wandb"),
            default="parquet",
            help="tables as Parquet or CSV, or offline runs for `wandb sync`",
        )
        parser.add_argument("--no-files", dest="files", action="store_false", help="leave out the runs' files")
    else:
        parser = argparse.ArgumentParser(prog="fulgurite import", description="Take in the runs of other loggers.")
        parser.add_argument("path", nargs="+", help="a folder with runs of CSVLogger, TensorBoard or W&B in it")
        parser.add_argument("--project", help="the project of runs that name none (the folder's name)")
    parser.add_argument("--data", metavar="DIR", help=DATA_HELP)
    return parser
