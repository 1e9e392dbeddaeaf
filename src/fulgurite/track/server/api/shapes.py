"""The JSON that the API answers with, as types, and how it is made of what the store knows.

JSON has no word for numbers that are not finite: as single values they are the texts "NaN", "Infinity" and "-Infinity",
in the arrays of a chart they are null.
"""

import math
from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from starlette.requests import Request
from starlette.responses import Response

from fulgurite.track.store.blobs import RunFile
from fulgurite.track.store.console import Line
from fulgurite.track.store.listing import Overview
from fulgurite.track.store.paths import shown
from fulgurite.track.store.runs import Run
from fulgurite.track.store.users import User
from fulgurite.track.wire.contents import media_type
from fulgurite.track.wire.graphql import as_json


class ProjectShape(TypedDict):
    """A project in a list; times are seconds since 1970."""

    entity: str
    name: str
    description: str | None
    created_at: float
    runs: int
    running: int
    seen_at: float | None
    version: int


class RunShape(TypedDict):
    """A run. ``id`` never changes and is never used again; ``name`` is what its address holds."""

    id: int
    entity: str
    project: str
    name: str
    display_name: str
    notes: str | None
    group: str | None
    job_type: str | None
    sweep: str | None
    tags: list[str]
    state: str
    exit_code: int | None
    config: dict[str, Any]
    summary: dict[str, Any]
    created_at: float
    seen_at: float
    ended_at: float | None
    deleted_at: float | None
    rows: int
    source: str
    version: int


class WholeRunShape(RunShape):
    """A run on its own page."""

    facts: dict[str, Any]
    console_lines: int
    alerts: list[dict[str, Any]]


class KeyShape(TypedDict):
    """Something that a run logged: ``kind`` is number or boolean if some values are, else other.

    ``key`` is what a request names it by, ``name`` what people call it.
    """

    key: str
    name: str
    kind: str
    count: int
    first: int
    last: int


class ChartShape(TypedDict):
    """The line of one key of one run; ``low`` and ``high`` are null where each point is a single value."""

    run: str
    key: str
    x: list[Any]
    last: list[Any]
    low: list[Any] | None
    high: list[Any] | None
    count: int


class ValueShape(TypedDict):
    """A value as it was logged."""

    step: int
    value: Any


class GroupChartShape(TypedDict):
    """The lines of one key of a group of runs as one: ``last`` is their mean, ``deviation`` how far they lie from it.

    ``runs`` of the group logged the key.
    """

    group: str
    runs: int
    key: str
    x: list[Any]
    last: list[Any]
    low: list[Any]
    high: list[Any]
    deviation: list[Any]
    count: int


class LineShape(TypedDict):
    """A line of what a run printed; it may be written again, as progress bars do."""

    number: int
    stream: str
    written_at: str | None
    label: str | None
    line: str


class FileShape(TypedDict):
    """A file of a run."""

    name: str
    size: int
    type: str
    updated_at: float
    md5: str


class UserShape(TypedDict):
    """Somebody with a key; ``role`` is reader, writer or admin."""

    name: str
    role: str
    created_at: float


def project_shape(overview: Overview) -> ProjectShape:
    project = overview.project
    return {
        "entity": project.entity,
        "name": project.name,
        "description": project.description,
        "created_at": project.created_at,
        "runs": overview.runs,
        "running": overview.running,
        "seen_at": overview.seen_at,
        "version": overview.version,
    }


def run_shape(run: Run) -> RunShape:
    return {
        "id": run.id,
        "entity": run.project.entity,
        "project": run.project.name,
        "name": run.name,
        "display_name": run.display_name or run.name,
        "notes": run.notes,
        "group": run.group_name,
        "job_type": run.job_type,
        "sweep": run.sweep,
        "tags": run.tags,
        "state": run.state,
        "exit_code": run.exit_code,
        "config": run.config,
        "summary": run.summary,
        "created_at": run.created_at,
        "seen_at": run.seen_at,
        "ended_at": run.ended_at,
        "deleted_at": run.deleted_at,
        "rows": run.row_count,
        "source": run.source,
        "version": run.version,
    }


def listed_run_shape(run: Run) -> RunShape:
    """A run in a list: of media in its summary only the kind is told."""
    return {**run_shape(run), "summary": without_media(run.summary)}


def without_media(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: {"_type": value["_type"]} if isinstance(value, dict) and "_type" in value else value
        for key, value in summary.items()
    }


def key_shape(path: str, about: Mapping[str, Any]) -> KeyShape:
    kinds = set(about["kinds"])
    kind = "number" if kinds & {"d", "q"} else "boolean" if "b" in kinds else "other"
    return {
        "key": path,
        "name": shown(path),
        "kind": kind,
        "count": about["count"],
        "first": about["first"],
        "last": about["last"],
    }


def line_shape(line: Line) -> LineShape:
    return {
        "number": line.number,
        "stream": line.stream,
        "written_at": line.written_at,
        "label": line.label,
        "line": line.line,
    }


def file_shape(file: RunFile) -> FileShape:
    return {
        "name": file.name,
        "size": file.blob.size,
        "type": media_type(file.name),
        "updated_at": file.updated_at,
        "md5": file.blob.md5,
    }


def user_shape(user: User) -> UserShape:
    return {"name": user.name, "role": user.role, "created_at": user.created_at}


def numbers(values: npt.NDArray[Any]) -> list[Any]:
    """An array as JSON numbers, with null for what is not finite."""
    listed: list[Any] = values.tolist()
    if np.isfinite(values).all():
        return listed
    return [value if math.isfinite(value) else None for value in listed]


def answer(shape: Any, status: int = 200) -> Response:
    """The shape as JSON."""
    return Response(as_json(shape), status, {"Cache-Control": "no-cache"}, "application/json")


def unless_known(request: Request, tag: str, shape: Any) -> Response:
    """The shape, or only word that it is still what the browser has. ``shape`` is called when it is needed."""
    tag = f'W/"{tag}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-cache"})
    response = answer(shape())
    response.headers["ETag"] = tag
    return response
