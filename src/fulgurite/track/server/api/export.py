"""The table of runs as a CSV file, such that a spreadsheet reads it as what it is: data."""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from starlette.responses import StreamingResponse

from fulgurite.track.server.api.sheet import TIMES, Entry

AT_ONCE = 200  # rows that are written together
# A spreadsheet takes a text that begins so for a formula, which may send what stands beside it to anybody.
FORMULA = re.compile(r"[\s\0]*[=+\-@|%\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def csv_response(entries: Sequence[Entry], columns: Sequence[str], name: str) -> StreamingResponse:
    """The values of ``columns`` of all ``entries``, sent as they are written."""
    plain = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)
    whole = quote(name.encode("utf-8", "replace"), safe="")
    headers = {
        "Content-Disposition": f"attachment; filename=\"{plain}.csv\"; filename*=utf-8''{whole}.csv",
        "Cache-Control": "no-cache",
    }
    return StreamingResponse(_written(entries, columns), headers=headers, media_type="text/csv; charset=utf-8")


def _written(entries: Sequence[Entry], columns: Sequence[str]) -> Iterator[bytes]:
    yield _lines([[harmless(column) for column in columns]])
    for start in range(0, len(entries), AT_ONCE):
        part = entries[start : start + AT_ONCE]
        yield _lines([[as_field(column, entry.value(column)) for column in columns] for entry in part])


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue().encode("utf-8", "replace")


def as_field(column: str, value: Any) -> str:
    """One value as it stands in the file: empty where there is none, times as ISO 8601 says."""
    if value is None:
        return ""
    if column in TIMES:
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")
    if column == "tags":
        return harmless(", ".join(value))
    if isinstance(value, str):
        return harmless(value)
    return json.dumps(value, ensure_ascii=False)


def harmless(text: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet would compute it. Numbers are left as they are."""
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text
