"""Read what the wandb client has recorded offline, from the run's own ``.wandb`` file."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32 * 1024
FILE_HEADER, RECORD_HEADER = 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path) -> Iterator[Any]:
    """The protobuf records of a ``.wandb`` file: LevelDB's log format, records split over blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = path.read_bytes(), FILE_HEADER, b""
    assert data[:4] == b":W&B"
    while at + RECORD_HEADER <= len(data):
        if BLOCK - at % BLOCK < RECORD_HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + RECORD_HEADER])
        at += RECORD_HEADER
        if at + length > len(data):
            return  # it is being written
        parts = data[at : at + length] if kind in (FULL, FIRST) else parts + data[at : at + length]
        at += length
        if kind in (FULL, LAST):
            record = Record()
            record.ParseFromString(parts)
            yield record


class RecordedRun:
    """One offline run: ``config``, ``rows`` (history), ``artifacts`` (records) and ``files`` of media."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.artifacts: list[Any] = []
        self.metrics: list[Any] = []
        for record in _whole_file(folder):
            self._take(record)

    def _take(self, record: Any) -> None:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            self.run_id, self.project, self.name = record.run.run_id, record.run.project, record.run.display_name
            self._configure(record.run.config)
        elif kind == "config":
            self._configure(record.config)
        elif kind == "history":
            self.rows.append(row_of(record.history))
        elif kind == "artifact":
            self.artifacts.append(record.artifact)
        elif kind == "metric":
            self.metrics.append(record.metric)

    def _configure(self, config: Any) -> None:
        self.config.update({item.key or item.nested_key[0]: json.loads(item.value_json) for item in config.update})

    def column(self, name: str) -> list[Any]:
        """The values of one key, in the rows that have it."""
        return [row[name] for row in self.rows if name in row]


def _whole_file(folder: Path, patience: float = 20.0) -> list[Any]:
    """All records; the client writes the last ones shortly after ``finish`` has returned."""
    (file,) = folder.glob("run-*.wandb")
    deadline = time.monotonic() + patience
    while True:
        found = list(records(file))
        if found and found[-1].WhichOneof("record_type") == "exit":
            return found
        assert time.monotonic() < deadline, f"{file} has no end; was the run finished?"
        time.sleep(0.02)


def row_of(history: Any) -> dict[str, Any]:
    """One row. A key is a path of strings: media and histograms are stored leaf by leaf."""
    row: dict[str, Any] = {}
    for item in history.item:
        *above, name = item.nested_key or [item.key]
        place = row
        for key in above:
            place = place.setdefault(key, {})
        place[name] = value_of(item)
    return row


def value_of(item: Any) -> Any:
    """The value, from JSON or from the typed field that newer clients fill instead."""
    if item.value_json:
        return json.loads(item.value_json)
    field = item.WhichOneof("value")
    value = getattr(item, field)
    return None if field == "none" else json.loads(value) if field == "json" else value


def recorded_runs(save_dir: Path) -> list[RecordedRun]:
    """Every run recorded offline under ``save_dir``, in the order in which they were opened."""
    return [RecordedRun(folder) for folder in sorted(Path(save_dir).glob("wandb/offline-run-*"))]
