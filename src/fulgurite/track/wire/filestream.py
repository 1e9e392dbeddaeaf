"""What a run sends while it goes on: rows, system metrics, summary, console lines, and at last how it ended."""

import hashlib
import json
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

from fulgurite.track.store.console import Line
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.history import SYSTEM
from fulgurite.track.store.runs import LIVING, PREEMPTING, Project, Run
from fulgurite.track.store.store import Store
from fulgurite.track.store.transpose import FARTHEST
from fulgurite.track.wire.facts import BEHIND, STARTED

log = logging.getLogger("fulgurite.track")
PLAIN_LINE = re.compile(r"(ERROR )?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(?: \[([^\]]*)\])? ?(.*)", re.DOTALL)
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
NOTHING_TO_SAY: dict[str, Any] = {"exitcode": None, "limits": {}}


def take_body(store: Store, run: Run, body: bytes) -> dict[str, Any]:
    """`take` what came over the wire."""
    try:
        said = json.loads(body or b"{}")
        if not isinstance(said, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError):
        set_aside(store, run, "file_stream", body)
        said = {}
    return take(store, run, said)


def take(store: Store, run: Run, body: dict[str, Any]) -> dict[str, Any]:
    """Keep one request's worth and return the answer. What can't be read is set aside in the run's files: the client
    would take a refusal as the end of the whole upload, and send again for days what is called a passing trouble.
    """
    with store.database.writing():
        if not body.get("complete"):
            store.runs.seen(run)
        files = body.get("files")
        for name, part in files.items() if isinstance(files, dict) else ():
            _take_part(store, run, name, part)
        if body.get("complete"):
            store.end(run, _exit_code(body.get("exitcode")))
        elif body.get("preempting"):
            store.runs.update(run, state=PREEMPTING)
    return {**NOTHING_TO_SAY, **({"stopped": True} if run.stop_asked else {})}


def known(store: Store, project: Project, name: str) -> Run | None:
    """The run of that name, also one that was deleted while it ran: what it still sends belongs to it, out of sight."""
    try:
        return store.runs.find(project, name)
    except NotFound:
        gone = [run for run in store.runs.all(project, deleted=True) if run.name == name]
        return next((run for run in gone if run.recorded_state in LIVING), None)


def set_aside(store: Store, run: Run, name: str, text: str | bytes) -> None:
    """Keep what could not be read among the run's files, under a name that says so."""
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    kept = f"unread/{name}.{hashlib.sha256(data).hexdigest()[:12]}"
    store.blobs.put(run.id, kept, store.blobs.keep_bytes(data))
    log.warning(
        "Run %s sent what can't be read (%d bytes); it is kept as the run's file %s.", run.name, len(data), kept
    )


def _take_part(store: Store, run: Run, name: str, part: Any) -> None:
    take = TAKERS.get(name)
    try:
        if take is None:
            raise ValueError(f"{name} is not known here")
        offset, content = int(part.get("offset") or 0), list(part.get("content") or ())
    except UNREADABLE:
        set_aside(store, run, str(name).replace("/", "_"), json.dumps(part))
        return
    try:
        take(store, run, offset, content)
    except UNREADABLE:
        _take_one_by_one(store, run, name, offset, content)


def _take_one_by_one(store: Store, run: Run, name: str, offset: int, content: Sequence[str]) -> None:
    """Take the lines that can be read, after all together could not be. Taking a line twice does no harm."""
    for i, line in enumerate(content):
        try:
            TAKERS[name](store, run, offset + i, [line])
        except UNREADABLE:
            set_aside(store, run, name, line if isinstance(line, str) else json.dumps(line))


def _take_history(store: Store, run: Run, offset: int, content: Sequence[str]) -> None:
    store.history.append(run.id, [(_whole(row["_step"]), row) for row in rows_of(content)])


def _take_events(store: Store, run: Run, offset: int, content: Sequence[str]) -> None:
    """System metrics go by milliseconds: a line that is sent twice is there once."""
    rows = [(_whole(float(row["_timestamp"]) * 1000), row) for row in rows_of(content)]
    store.history.append(run.id, rows, SYSTEM)


def _take_summary(store: Store, run: Run, offset: int, content: Sequence[str]) -> None:
    for summary in rows_of(content[-1:]):
        store.runs.update(run, summary=summary)


def _take_console(store: Store, run: Run, offset: int, content: Sequence[str]) -> None:
    behind = _behind(store, store.runs.by_id(run.id), offset) if content else 0
    store.console.write(run.id, [console_line(behind + offset + i, text) for i, text in enumerate(content)])


def _behind(store: Store, run: Run, offset: int) -> int:
    """How many older lines stand before those that the run's process counts from 0.

    One that was told of them counts on from there. Clients of 0.21 to 0.23 are told, and count from 0 all the same. One
    that was not told takes the place of the whole log.
    """
    facts = dict(run.facts)
    if STARTED not in facts:
        return int(facts.get(BEHIND, 0))
    kept = int(facts.pop(STARTED))
    if offset == 0:
        store.console.clear(run.id, kept)
        facts[BEHIND] = kept
    store.runs.update(run, facts=facts)
    return int(facts.get(BEHIND, 0))


TAKERS: dict[str, Callable[[Store, Run, int, Sequence[str]], None]] = {
    "wandb-history.jsonl": _take_history,
    "wandb-events.jsonl": _take_events,
    "wandb-summary.json": _take_summary,
    "output.log": _take_console,
}


def rows_of(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Each line's JSON object. All are read as one list, which is twice as fast. Raises one of ``UNREADABLE``."""
    rows = json.loads(f"[{','.join(lines)}]")
    if len(rows) != len(lines) or not all(type(row) is dict for row in rows):
        raise ValueError("a line is not one JSON object")
    return list(rows)


def console_line(number: int, text: str) -> Line:
    """A line of the console, in the plain form (``ERROR 2026-01-01T00:00:00 text``) or the structured one."""
    if text.startswith("{"):
        try:
            said = json.loads(text)
            stream = "stderr" if said.get("level") == "error" else "stdout"
            return Line(number, stream, said.get("ts"), said.get("label") or None, _storable(str(said["content"])))
        except (ValueError, KeyError):
            pass
    found = PLAIN_LINE.fullmatch(text.rstrip("\n"))
    if found is None:
        return Line(number, "stdout", None, None, _storable(text))
    error, written_at, label, line = found.groups()
    return Line(number, "stderr" if error else "stdout", written_at, label, _storable(line))


def _storable(line: str) -> str:
    """The line without its end, and with a mark for what is no character."""
    return line.rstrip("\n").encode(errors="replace").decode()


def _whole(step: Any) -> int:
    whole = int(step)
    if abs(whole) > FARTHEST:
        raise ValueError(f"{step} is too far for a step")
    return whole


def _exit_code(code: Any) -> int:
    try:
        return int(code or 0)
    except UNREADABLE:
        return 1
