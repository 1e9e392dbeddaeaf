"""What a run sends while it goes on: rows, system metrics, summary, console lines, and at last how it ended."""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from fulgurite.track.store.console import Line
from fulgurite.track.store.history import SYSTEM
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store
from fulgurite.track.wire.documents import read_json

log = logging.getLogger("fulgurite.track")
PLAIN_LINE = re.compile(r"(ERROR )?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(?: \[([^\]]*)\])? ?(.*)", re.DOTALL)


def take(store: Store, run: Run, body: dict[str, Any]) -> dict[str, Any]:
    """Keep one request's worth and return the answer. What can't be read is logged and left out: the client would
    take a refusal as the end of the whole upload.
    """
    with store.database.writing():
        if not body.get("complete"):
            store.runs.seen(run)
        for name, part in (body.get("files") or {}).items():
            _take_part(store, run, name, int(part.get("offset") or 0), part.get("content") or [])
        if body.get("complete"):
            store.end(run, int(body.get("exitcode") or 0))
        elif body.get("preempting"):
            store.runs.update(run, facts={**run.facts, "preempting": True})
    return {"exitcode": None, "limits": {}, **({"stopped": True} if run.stop_asked else {})}


def _take_part(store: Store, run: Run, name: str, offset: int, content: Sequence[str]) -> None:
    if name == "wandb-history.jsonl":
        store.history.append(run.id, [(int(row["_step"]), row) for row in _read(content, run) if "_step" in row])
    elif name == "wandb-events.jsonl":
        store.history.append(run.id, _events(_read(content, run), offset), SYSTEM)
    elif name == "wandb-summary.json":
        for summary in _read(content[-1:], run):
            store.runs.update(run, summary=summary)
    elif name == "output.log":
        store.console.write(run.id, [console_line(offset + i, text) for i, text in enumerate(content)])
    else:
        log.warning("A client streamed %r for run %s, which is not known here; it was left out.", name, run.name)


def _events(rows: Iterator[dict[str, Any]], offset: int) -> list[tuple[int, dict[str, Any]]]:
    """System metrics by milliseconds: a line that is sent twice is there once."""
    return [(int(float(row.get("_timestamp", offset + i)) * 1000), row) for i, row in enumerate(rows)]


def _read(lines: Sequence[str], run: Run) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            row = read_json(line)
        except ValueError:
            log.warning("A line of run %s is no JSON and was left out: %.80r", run.name, line)
            continue
        if isinstance(row, dict):
            yield row


def console_line(number: int, text: str) -> Line:
    """A line of the console, in the plain form (``ERROR 2026-01-01T00:00:00 text``) or the structured one."""
    if text.startswith("{"):
        try:
            said = json.loads(text)
            stream = "stderr" if said.get("level") == "error" else "stdout"
            return Line(number, stream, said.get("ts"), said.get("label") or None, str(said["content"]).rstrip("\n"))
        except (ValueError, KeyError):
            pass
    found = PLAIN_LINE.fullmatch(text.rstrip("\n"))
    if found is None:
        return Line(number, "stdout", None, None, text.rstrip("\n"))
    error, written_at, label, line = found.groups()
    return Line(number, "stderr" if error else "stdout", written_at, label, line)
