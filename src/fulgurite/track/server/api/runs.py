"""Projects and runs: lists of them, one of them, and what can be changed."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.described import tells, whole
from fulgurite.track.server.api.shapes import (
    ProjectShape,
    RunShape,
    WholeRunShape,
    answer,
    listed_run_shape,
    project_shape,
    run_shape,
    unless_known,
)
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.listing import LATEST
from fulgurite.track.store.runs import Project, Run
from fulgurite.track.store.store import Store

PAGE, MOST = 500, 5000
# What can be set, of which type, and what the store calls it.
EDITS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "display_name": ((str, type(None)), "display_name"),
    "notes": ((str, type(None)), "notes"),
    "group": ((str, type(None)), "group_name"),
    "job_type": ((str, type(None)), "job_type"),
    "tags": (list, "tags"),
}


def project_of(store: Store, request: Request) -> Project:
    """The project that the address names. Raises ``NotFound``."""
    return store.runs.project(asked.name(request, "project"), asked.name(request, "entity"))


def run_of(store: Store, request: Request) -> Run:
    """The run that the address names. Raises ``NotFound``."""
    return store.runs.find(project_of(store, request), asked.name(request, "run"))


class RunRoutes:
    """Addresses over the runs of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        project = "/projects/{entity}/{project}"
        run = project + "/runs/{run}"
        return [
            Route("/projects", self.projects, methods=["GET"]),
            Route(project, self.project, methods=["GET"]),
            Route(project, self.describe, methods=["PATCH"]),
            Route(project + "/runs", self.runs, methods=["GET"]),
            Route(project + "/deleted", self.deleted, methods=["GET"]),
            Route(project + "/deleted", self.delete, methods=["POST"]),
            Route(project + "/restored", self.restore, methods=["POST"]),
            Route(project + "/tagged", self.tag, methods=["POST"]),
            Route(run, self.run, methods=["GET"]),
            Route(run, self.edit, methods=["PATCH"]),
            Route(run + "/stop", self.stop, methods=["POST"]),
        ]

    @tells({"projects": list[ProjectShape]})
    def projects(self, request: Request) -> Response:
        """All projects, the one that was last active first."""
        return answer({"projects": [project_shape(each) for each in self._store.listing.projects()]})

    @tells(ProjectShape)
    def project(self, request: Request) -> Response:
        """One project."""
        return answer(project_shape(self._store.listing.overview(project_of(self._store, request))))

    @tells({"description": str}, body={"description": str})
    async def describe(self, request: Request) -> Response:
        """Say what a project is about."""
        said = await asked.fields(request, {"description": str})
        await run_in_threadpool(self._describe, request, said.get("description", ""))
        return answer({"description": said.get("description", "")})

    def _describe(self, request: Request, description: str) -> None:
        self._store.runs.describe_project(project_of(self._store, request), description)

    @tells(
        {"runs": list[RunShape], "version": int, "more": bool, "gone": list[int], "delta": bool},
        query={
            "first": whole("how many", PAGE),
            "before": whole("only runs with an id below this one"),
            "since": whole("a version: only what has changed after it"),
        },
    )
    def runs(self, request: Request) -> Response:
        """A page of runs, or with ``since`` what has changed after that version."""
        listing = self._store.listing
        first = asked.integer(request, "first", PAGE, 1, MOST)
        before = asked.integer(request, "before", LATEST)
        since = asked.integer(request, "since", -1, -1)
        with self._store.database.reading():
            project = project_of(self._store, request)
            version = listing.version(project)
            # A version that is not there yet was seen in another store, or before the newest runs were purged.
            if 0 <= since <= version:
                found = listing.changed(project, since)
                gone = [each.id for each in found if each.deleted_at is not None]
                kept = [each for each in found if each.deleted_at is None]
                return answer(self._page(kept, version, gone=gone, more=False, delta=True))
            found = listing.page(project, first + 1, before)
        return answer(self._page(found[:first], version, gone=[], more=len(found) > first, delta=False))

    def _page(self, runs: list[Run], version: int, **more: Any) -> dict[str, Any]:
        return {"runs": [listed_run_shape(each) for each in runs], "version": version, **more}

    @tells({"runs": list[RunShape]}, query={"first": whole("how many", PAGE)})
    def deleted(self, request: Request) -> Response:
        """The runs that were deleted; they can be brought back for seven days."""
        first = asked.integer(request, "first", PAGE, 1, MOST)
        found = self._store.listing.page(project_of(self._store, request), first, deleted=True)
        return answer({"runs": [listed_run_shape(each) for each in found]})

    @tells({"ids": list[int]}, body={"runs": list[str]})
    async def delete(self, request: Request) -> Response:
        """Delete runs, given by their names: all or none."""
        names = asked.texts(await asked.fields(request, {"runs": list}), "runs")
        return answer({"ids": await run_in_threadpool(self._delete, request, names)})

    def _delete(self, request: Request, names: list[str]) -> list[int]:
        project = project_of(self._store, request)
        with self._store.database.writing():
            found = [self._store.runs.find(project, each) for each in names]
            self._store.runs.delete(found)
        return [each.id for each in found]

    @tells({"runs": list[RunShape]}, body={"ids": list[int]})
    async def restore(self, request: Request) -> Response:
        """Bring deleted runs back, given by their ids."""
        ids = asked.integers(await asked.fields(request, {"ids": list}), "ids")
        return answer({"runs": await run_in_threadpool(self._restore, request, ids)})

    def _restore(self, request: Request, ids: list[int]) -> list[Any]:
        project = project_of(self._store, request)
        with self._store.database.writing():
            found = [self._store.runs.by_id(each) for each in ids]
            if strangers := [each.id for each in found if each.project.id != project.id]:
                raise NotFound(f"The project {project.name} has no run with the number {strangers[0]}.")
            self._store.runs.restore(found)
        return [run_shape(self._store.runs.by_id(each)) for each in ids]

    @tells({"changed": list[str]}, body={"runs": list[str], "add": list[str], "remove": list[str]})
    async def tag(self, request: Request) -> Response:
        """Add and remove tags of several runs; the answer names those that were changed by it."""
        body = {"add": [], "remove": [], **await asked.fields(request, {"runs": list, "add": list, "remove": list})}
        names, add, remove = (asked.texts(body, key) for key in ("runs", "add", "remove"))
        return answer({"changed": await run_in_threadpool(self._tag, request, names, add, remove)})

    def _tag(self, request: Request, names: list[str], add: list[str], remove: list[str]) -> list[str]:
        project, changed = project_of(self._store, request), []
        with self._store.database.writing():
            for run in [self._store.runs.find(project, name) for name in names]:
                tags = [tag for tag in dict.fromkeys([*run.tags, *add]) if tag not in remove]
                if tags != run.tags:
                    self._store.runs.update(run, tags=tags)
                    changed.append(run.name)
        return changed

    @tells(WholeRunShape)
    def run(self, request: Request) -> Response:
        """One run; with an ETag, so that what has not changed is not sent again."""
        found = run_of(self._store, request)
        return unless_known(request, f"{found.id}-{found.version}-{found.state}", lambda: self._whole(found))

    def _whole(self, run: Run) -> dict[str, Any]:
        return {
            **run_shape(run),
            "facts": run.facts,
            "console_lines": self._store.console.count(run.id),
            "alerts": self._store.runs.alerts(run),
        }

    @tells(
        RunShape,
        body={
            "display_name": str | None,
            "notes": str | None,
            "group": str | None,
            "job_type": str | None,
            "tags": list[str],
        },
    )
    async def edit(self, request: Request) -> Response:
        """Change what is said of a run; what is not named stays."""
        said = await asked.fields(request, {key: types for key, (types, _) in EDITS.items()})
        if "tags" in said:
            asked.texts(said, "tags")
        ours = {EDITS[key][1]: value for key, value in said.items()}
        return answer(run_shape(await run_in_threadpool(self._edit, request, ours)))

    def _edit(self, request: Request, said: dict[str, Any]) -> Run:
        run = run_of(self._store, request)
        return self._store.runs.update(run, **said) if said else run

    @tells(RunShape)
    def stop(self, request: Request) -> Response:
        """Ask a run to stop: its client hears of it with its next word."""
        return answer(run_shape(self._store.runs.update(run_of(self._store, request), stop_asked=1)))
