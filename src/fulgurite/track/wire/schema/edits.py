"""What the client changes: runs, their files, and projects."""

import json
from typing import Any

from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.paths import nested
from fulgurite.track.store.runs import CRASHED, FAILED, LIVING, PENDING, PREEMPTED, RUNNING
from fulgurite.track.store.runs import Run as StoredRun
from fulgurite.track.wire.facts import BEHIND, OWN, STARTED, UNNAMED, WRITERS, from_client
from fulgurite.track.wire.filestream import known
from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.ids import inner, inner_text, outer
from fulgurite.track.wire.schema.context import Context
from fulgurite.track.wire.schema.runs import Project, Run

# The client's names of what is simply a text or a list, and ours.
PLAIN = {
    "displayName": "display_name",
    "notes": "notes",
    "groupName": "group_name",
    "jobType": "job_type",
    "sweep": "sweep",
    "tags": "tags",
}
FACTS = {
    "host": "host",
    "jobProgram": "program",
    "jobRepo": "repo",
    "commit": "commit",
    "description": "description",
}
MOVES = {PENDING: {RUNNING, FAILED, CRASHED, PREEMPTED}, FAILED: {PENDING, RUNNING}}


class RunEdits(Node):
    """Mutations of runs and projects."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def upsertBucket(self, input: dict[str, Any]) -> dict[str, Any]:
        """Make or change a run; what is null stays as it is.

        A request that has the run's name comes from the run itself, which therefore lives. One that has only its id
        is an edit from outside.
        """
        runs = self._context.store.runs
        with self._context.store.database.writing():
            run, inserted = self._meant(input)
            if input.get("name") or not input.get("id"):
                self._hear(run, input)
            run = runs.update(run, **_said(runs.by_id(run.id), input))
            if inserted:
                self._branch_off(run)
        return {"bucket": Run(self._context, runs.by_id(run.id)), "inserted": inserted}

    def _meant(self, input: dict[str, Any]) -> tuple[StoredRun, bool]:
        """The run that a request is about, made if it is new; and whether it was made."""
        runs = self._context.store.runs
        if input.get("id"):
            return runs.by_id(inner("Run", input["id"])), False
        entity = input.get("entityName") or self._context.entity
        project = runs.project(input.get("modelName") or UNNAMED, entity, create=True)
        run = known(self._context.store, project, input["name"]) if input.get("name") else None
        if run is not None and (run.deleted_at is None or not _is_start(run, input)):
            return run, False
        return runs.open(project, input.get("name"), source="wandb")

    def _hear(self, run: StoredRun, input: dict[str, Any]) -> None:
        """Note that the run lives. What was asked of its last process is not asked of a new one."""
        runs = self._context.store.runs
        if _is_start(run, input):
            # Whoever has the run's id asked for the run before, and goes on with it.
            lines = self._context.store.console.count(run.id) if input.get("id") else 0
            facts = {name: value for name, value in run.facts.items() if name != BEHIND} | {STARTED: lines}
            runs.update(run, state=input.get("state") or RUNNING, stop_asked=0, facts=facts)
        runs.seen(run)
        if input.get("state") == PENDING:
            runs.update(run, state=PENDING)

    def _branch_off(self, run: StoredRun) -> None:
        """Give a fork its parent's history. The client tells only in the configuration that it is one."""
        point = run.facts.get(OWN, {}).get("branch_point")
        if not point:
            return
        parent = self._context.store.runs.find(run.project, point["run_id"])
        self._context.store.history.copy(parent.id, run.id, int(point["step"]))
        self._sum_up(run)

    def rewindRun(self, input: dict[str, Any]) -> dict[str, Any]:
        """Take a run back to a step: what it logged later is forgotten."""
        run = self._run(input)
        if input.get("metricName") != "_step":
            raise StoreError(f"A run is rewound by _step, not by {input.get('metricName')!r}.")
        with self._context.store.database.writing():
            self._context.store.history.truncate(run.id, int(input["metricValue"]))
            self._sum_up(run)
        return {"rewoundRun": Run(self._context, self._context.store.runs.by_id(run.id))}

    def _sum_up(self, run: StoredRun) -> None:
        """Make the summary what was logged last, until the run sends its own."""
        history = self._context.store.history
        kept = {key: value for key, value in run.summary.items() if key == OWN}
        last = {path: history.read(run.id, path, low=about["last"]) for path, about in history.keys(run.id).items()}
        values = {path: part.values()[-1] for path, part in last.items() if len(part)}
        self._context.store.runs.update(run, summary={**kept, **nested(values)})

    def stopRun(self, input: dict[str, Any]) -> dict[str, Any]:
        """Ask a run to stop: it hears so with its next sign of life. One that has ended stays as it is."""
        runs = self._context.store.runs
        run = runs.by_id(inner("Run", input["id"]))
        if run.recorded_state in LIVING:
            runs.update(run, stop_asked=1)
        return {"success": True}

    def updateRunState(self, input: dict[str, Any]) -> dict[str, Any]:
        """Move a run to ``pending`` or ``failed`` by hand."""
        runs = self._context.store.runs
        run, state = runs.by_id(inner("Run", input["id"])), input.get("state")
        allowed = MOVES.get(str(state), ())
        if run.state not in allowed:
            to = " or ".join(f"to {name} from {', '.join(sorted(MOVES[name]))}" for name in MOVES)
            raise StoreError(f"A run can't go from {run.state} to {state!r}. It can go {to}.")
        runs.update(run, state=state)
        return {"success": True}

    def deleteRun(self, input: dict[str, Any]) -> dict[str, Any]:
        runs, artifacts = self._context.store.runs, self._context.store.artifacts
        run = runs.by_id(inner("Run", input["id"]))
        with self._context.store.database.writing():
            runs.delete([run])
            if input.get("deleteArtifacts"):
                artifacts.delete_of_run(run.id)
        return {"success": True, "clientMutationId": input.get("clientMutationId")}

    def deleteRuns(self, input: dict[str, Any]) -> dict[str, Any]:
        runs = self._context.store.runs
        runs.delete([runs.by_id(inner("Run", id)) for id in input.get("ids") or ()])
        return {"success": True}

    def deleteFiles(self, input: dict[str, Any]) -> dict[str, Any]:
        """Take files from their runs, by the ids that `File` has."""
        for id in input.get("files") or ():
            run, _, name = inner_text("File", id).partition(":")
            self._context.store.blobs.remove(int(run), name)
        return {"success": True}

    def createRunFiles(self, input: dict[str, Any]) -> dict[str, Any]:
        """Addresses to put a run's files to, one for each name and under the same name."""
        run = self._run(input)
        upload = self._context.addresses.upload
        files = [{"name": name, "uploadUrl": upload(run=run.id, name=name)} for name in input["files"]]
        return {"runID": outer("Run", run.id), "uploadHeaders": [], "files": files}

    def markRunFilesUploaded(self, input: dict[str, Any]) -> dict[str, Any]:
        return {"success": True}

    def notifyScriptableRunAlert(self, input: dict[str, Any]) -> dict[str, Any]:
        run = self._run(input)
        self._context.store.runs.alert(run, input["title"], input["text"], input.get("severity") or "INFO")
        return {"success": True}

    def upsertModel(self, input: dict[str, Any]) -> dict[str, Any]:
        runs = self._context.store.runs
        project = runs.project(input["name"], input.get("entityName") or self._context.entity, create=True)
        if input.get("description") is not None:
            runs.describe_project(project, input["description"])
            project = runs.project(project.name, project.entity)
        node = Project(self._context, project)
        return {"project": node, "model": node, "inserted": True}

    def _run(self, input: dict[str, Any]) -> StoredRun:
        runs = self._context.store.runs
        project = runs.project(input["projectName"], input.get("entityName") or self._context.entity)
        return known(self._context.store, project, input["runName"]) or runs.find(project, input["runName"])


def _is_start(run: StoredRun, input: dict[str, Any]) -> bool:
    """Whether a request is the first of a new process: its run had ended, or it tells nothing of its machine yet."""
    if run.recorded_state not in LIVING:
        return True
    own = from_client(_json(input, "config"))[1] if input.get("config") is not None else {}
    silent = run.state not in LIVING
    return bool(own) and WRITERS not in own and (silent or WRITERS in run.facts.get(OWN, {}))


def _json(input: dict[str, Any], name: str) -> dict[str, Any]:
    """An object that came as JSON text."""
    try:
        found = json.loads(input[name])
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{name} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{name} is an object, not {input[name][:80]!r}.")
    return found


def _said(run: StoredRun, input: dict[str, Any]) -> dict[str, Any]:
    """What a request says of a run, in the store's words."""
    said = {ours: input[theirs] for theirs, ours in PLAIN.items() if input.get(theirs) is not None}
    facts = {ours: input[theirs] for theirs, ours in FACTS.items() if input.get(theirs) is not None}
    if input.get("config") is not None:
        said["config"], own = from_client(_json(input, "config"))
        facts[OWN] = _with_writers(run.facts.get(OWN, {}), own)
    if input.get("summaryMetrics") is not None:
        said["summary"] = _json(input, "summaryMetrics")
    if facts:
        said["facts"] = {**run.facts, **facts}
    return said


def _with_writers(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """What the client keeps for itself, with the blocks of all processes that ever wrote the run."""
    if not new:
        return old
    writers = {**old.get(WRITERS, {}), **new.get(WRITERS, {})}
    return {**new, WRITERS: writers} if writers else new
