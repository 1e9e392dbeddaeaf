"""`fulgurite ui`: the words of the command, and what they do."""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from fulgurite.base.errors import MisconfigurationException, MissingExtra
from fulgurite.base.optional import available, require
from fulgurite.track.places import FOLDER, data_folder

if TYPE_CHECKING:
    from fulgurite.track.store.store import Store

USAGE, STOPPED = 2, 130
STORE, SERVER = ("numpy",), ("numpy", "starlette", "uvicorn", "graphql", "plotly")  # packages
ROLES = ("admin", "writer", "reader")
KEYS = """users and keys:
  fulgurite ui keys add NAME --role writer    make a user; the key is shown once
  fulgurite ui keys list                      who has a key
  fulgurite ui keys revoke NAME               make a key worthless
"""


def main(words: Sequence[str]) -> int:
    """Do what the words behind `fulgurite ui` say, and return the exit code."""
    chosen = _keys_parser().parse_args(words[1:]) if words[:1] == ["keys"] else _parser().parse_args(words)
    try:
        for package in chosen.packages:
            _demand(package)
        from fulgurite.track.store.errors import StoreError  # late: it needs numpy, whose lack is told above

        try:
            chosen.do(chosen)
        except StoreError as error:
            raise MisconfigurationException(str(error)) from error
        return 0
    except KeyboardInterrupt:
        return STOPPED
    except (MisconfigurationException, MissingExtra) as error:
        print(f"fulgurite ui: {error}", file=sys.stderr)
        return USAGE


def _demand(package: str) -> None:
    """Raise ``MissingExtra`` if the package is not there. It is not loaded: plotly, for one, need not be."""
    if not available(package):
        require(package, "track")


def _serve(chosen: argparse.Namespace) -> None:
    from fulgurite.track.server.serve import Settings, serve  # late: only now it is known that its packages are there

    for folder in chosen.watched:
        if not folder.is_dir():
            print(f"There is no folder {folder}; its runs are shown as soon as there is.", file=sys.stderr)
    if chosen.exports:
        require("pyarrow", "export")
    serve(
        Settings(
            chosen.data,
            chosen.host,
            chosen.port,
            not chosen.no_browser,
            chosen.allow_host,
            chosen.watched,
            chosen.exports,
        )
    )


def _add(chosen: argparse.Namespace) -> None:
    with _store(chosen) as store:
        print(store.users.add(chosen.name, chosen.role))
    print(
        f"This is the key of {chosen.name} ({chosen.role}). It is not shown again: only its hash is kept.",
        file=sys.stderr,
    )


def _list(chosen: argparse.Namespace) -> None:
    with _store(chosen) as store:
        for user in store.users.all():
            print(f"{user.name}\t{user.role}\t{time.strftime('%Y-%m-%d', time.localtime(user.created_at))}")


def _revoke(chosen: argparse.Namespace) -> None:
    with _store(chosen) as store:
        store.users.revoke(chosen.name)


def _store(chosen: argparse.Namespace) -> "closing[Store]":
    from fulgurite.track.store.store import Store  # late, for the same reason

    return closing(Store(chosen.data))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fulgurite ui",
        description="Show the runs of this machine in a browser, and let the wandb client log to it.",
        epilog=KEYS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "watched",
        metavar="FOLDER",
        nargs="*",
        type=Path,
        default=[Path()],
        help="show the W&B client's offline runs in its `wandb` folder, too (default: the working folder)",
    )
    _add_folder(parser)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=_port, help="the port to listen at (default: 7007, or the next free one)")
    parser.add_argument("--no-browser", action="store_true", help="don't open a browser")
    parser.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="answer to this name, too: for a server behind a proxy; keys are demanded then (may be repeated)",
    )
    parser.add_argument(
        "--exports",
        action="store_true",
        help="give the history of ended runs to wandb.Api() as Parquet files (extra `export`)",
    )
    parser.set_defaults(do=_serve, packages=SERVER)
    return parser


def _keys_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fulgurite ui keys", description="Who may use the server, and how.")
    verbs = parser.add_subparsers(required=True, metavar="verb")
    add = verbs.add_parser("add", help="make a user; the key is shown once")
    add.add_argument("name")
    add.add_argument("--role", choices=ROLES, default="writer", help="what the key is good for (default: %(default)s)")
    add.set_defaults(do=_add, packages=STORE)
    shown = verbs.add_parser("list", help="who has a key")
    shown.set_defaults(do=_list, packages=STORE)
    revoke = verbs.add_parser("revoke", help="make a user's key worthless")
    revoke.add_argument("name")
    revoke.set_defaults(do=_revoke, packages=STORE)
    for each in (add, shown, revoke):
        _add_folder(each)
    return parser


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        default=data_folder(),
        help=f"the folder of the runs (default: ${FOLDER} or ~/.fulgurite)",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 1 to 65535")
    return int(text)
