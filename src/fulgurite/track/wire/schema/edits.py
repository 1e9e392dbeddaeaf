"""What the client changes: runs, their files, and projects."""

import json
from typing import Any

from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.runs import Run as StoredRun
from fulgurite.track.wire.facts import OWN, from_client
from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.ids import inner, outer
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
FACTS = {"host": "host", "jobProgram": "program", "jobRepo": "repo", "commit": "commit", "description": "description"}
UNNAMED = "uncategorized"


class RunEdits(Node):
    """Mutations of runs and projects."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def upsertBucket(self, input: dict[str, Any]) -> dict[str, Any]:
        """Make or change a run; what is null stays as it is. By ``id`` it is an edit, by name the run itself speaks."""
        runs = self._context.store.runs
        with self._context.store.database.writing():
            if input.get("id"):
                run, inserted = runs.by_id(inner("Run", input["id"])), False
            else:
                entity = input.get("entityName") or self._context.entity
                project = runs.project(input.get("modelName") or UNNAMED, entity, create=True)
                run, inserted = runs.open(project, input.get("name"), source="wandb")
                runs.seen(run)
            run = runs.update(run, **_said(run, input))
            if inserted:
                self._branch_off(run)
        return {"bucket": Run(self._context, runs.by_id(run.id)), "inserted": inserted}

    def _branch_off(self, run: StoredRun) -> None:
        """Give a fork its parent's history. The client tells only in the configuration that it is one."""
        point = run.facts.get(OWN, {}).get("branch_point")
        if not point:
            return
        parent = self._context.store.runs.find(run.project, point["run_id"])
        self._context.store.history.copy(parent.id, run.id, int(point["step"]))

    def rewindRun(self, input: dict[str, Any]) -> dict[str, Any]:
        run = self._run(input)
        if input.get("metricName") != "_step":
            raise NotFound(f"A run is rewound by _step, not by {input.get('metricName')!r}.")
        self._context.store.history.truncate(run.id, int(input["metricValue"]))
        return {"rewoundRun": Run(self._context, self._context.store.runs.by_id(run.id))}

    def stopRun(self, input: dict[str, Any]) -> dict[str, Any]:
        runs = self._context.store.runs
        runs.update(runs.by_id(inner("Run", input["id"])), stop_asked=1)
        return {"success": True}

    def deleteRun(self, input: dict[str, Any]) -> dict[str, Any]:
        runs, artifacts = self._context.store.runs, self._context.store.artifacts
        run = runs.by_id(inner("Run", input["id"]))
        with self._context.store.database.writing():
            runs.delete([run])
            if input.get("deleteArtifacts"):
                artifacts.delete_of_run(run.id)
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
        return runs.find(project, input["runName"])


def _said(run: StoredRun, input: dict[str, Any]) -> dict[str, Any]:
    """What a request says of a run, in the store's words."""
    said = {ours: input[theirs] for theirs, ours in PLAIN.items() if input.get(theirs) is not None}
    facts = {ours: input[theirs] for theirs, ours in FACTS.items() if input.get(theirs) is not None}
    if input.get("config") is not None:
        said["config"], own = from_client(json.loads(input["config"]))
        facts[OWN] = own or run.facts.get(OWN, {})
    if input.get("summaryMetrics") is not None:
        said["summary"] = json.loads(input["summaryMetrics"])
    if facts:
        said["facts"] = {**run.facts, **facts}
    return said
