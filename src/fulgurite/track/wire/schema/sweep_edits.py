"""What the client changes of sweeps, and what it is told to do next."""

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.runs import Project as StoredProject
from fulgurite.track.store.sweeps import Sweep as StoredSweep
from fulgurite.track.sweeps.config import SweepConfig, check_installed, read
from fulgurite.track.sweeps.errors import SweepError
from fulgurite.track.sweeps.schedule import PENDING, STATES, Begin, Command, Leave, Schedule, Stop
from fulgurite.track.wire.facts import UNNAMED
from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.ids import inner, outer
from fulgurite.track.wire.schema.context import Context
from fulgurite.track.wire.schema.sweeps import Sweep


class SweepEdits(Node):
    """Mutations of sweeps."""

    _context: Context

    def upsertSweep(self, input: dict[str, Any]) -> dict[str, Any]:
        """Make a sweep or, by ``id``, change one; what is null stays as it is."""
        config = read(input["config"]) if input.get("config") is not None else None
        if config is not None:
            check_installed(config)
        with self._context.store.database.writing():
            sweep = self._changed(input, config) if input.get("id") else self._made(input, config)
            sweep = self._context.store.sweeps.update(sweep, **_said(input))
            if input.get("controller"):
                self._take_suggestions(sweep, json.loads(input["controller"]))
        return {
            "sweep": Sweep(self._context, sweep),
            "configValidationWarnings": config.warnings if config else [],
            "inserted": not input.get("id"),
        }

    def _made(self, input: Mapping[str, Any], config: SweepConfig | None) -> StoredSweep:
        if config is None:
            raise SweepError("config is missing; a new sweep needs it.")
        store = self._context.store
        project = self._project(input, create=True)
        seed = config.seed if config.seed is not None else secrets.randbelow(2**31)
        sweep = store.sweeps.create(project, input["config"], seed, PENDING)
        for name in _named(json.loads(input.get("priorRunsFilters") or "{}")):
            store.runs.update(store.runs.find(project, name), sweep=sweep.name)
        return sweep

    def _changed(self, input: Mapping[str, Any], config: SweepConfig | None) -> StoredSweep:
        sweeps = self._context.store.sweeps
        sweep = sweeps.by_id(inner("Sweep", input["id"]))
        if config is None or config == read(sweep.config):
            return sweep
        count, _ = self._context.store.trials.counts(sweep)
        if count:
            raise SweepError(
                f"The sweep {sweep.name} has given out {count} runs, so its configuration can't be changed any more. "
                "Stop it with `wandb sweep --stop`, and make a new one; -R takes its runs over."
            )
        return sweeps.update(sweep, config=input["config"], **({"seed": config.seed} if config.seed else {}))

    def _take_suggestions(self, sweep: StoredSweep, said: Mapping[str, Any]) -> None:
        """The runs that a controller on the user's side wants begun, and those that it wants stopped."""
        sweeps = self._context.store.sweeps
        for each in said.get("schedule") or []:
            arguments = (each.get("data") or {}).get("args")
            if arguments is None:
                sweeps.update(sweep, state="FINISHED")  # the controller has no more to try
            else:
                self._context.store.trials.add(sweep, _plain(arguments), key=str(each["id"]))
        self._context.store.trials.ask_stop(sweep, said.get("earlystop") or [])

    def createAgent(self, input: dict[str, Any]) -> dict[str, Any]:
        sweeps = self._context.store.sweeps
        sweep = sweeps.find(self._project(input), input["sweep"])
        agent = sweeps.add_agent(sweep, input["host"])
        return {"agent": {"id": outer("Agent", agent.id), "name": agent.name}}

    def agentHeartbeat(self, input: dict[str, Any]) -> dict[str, Any]:
        """Tell an agent what to do; ``runState`` says which runs it has under way.

        Some clients heed the first command only, so there is at most one that begins a run.
        """
        store = self._context.store
        running = [name for name, alive in json.loads(input.get("runState") or "{}").items() if alive]
        try:
            agent = store.sweeps.agent(inner("Agent", input["id"]))
        except NotFound:
            return {"agent": {"id": input["id"]}, "commands": json.dumps([{"type": "exit"}])}
        program = read(store.sweeps.by_id(agent.sweep_id).config).program
        commands = [_command(each, program) for each in Schedule(store).next(agent, running)]
        return {"agent": {"id": input["id"], "name": agent.name}, "commands": json.dumps(commands)}

    def enqueueSweepRun(self, input: dict[str, Any]) -> dict[str, Any]:
        """Have the next agent run a configuration that the user chose."""
        store = self._context.store
        sweep = store.sweeps.by_id(inner("Sweep", input["id"]))
        with store.database.writing():
            if Schedule(store).full(sweep, config := read(sweep.config)):
                raise SweepError(f"The sweep {sweep.name} has all its {config.expected()} runs; it takes no more.")
            trial = store.trials.add(sweep, _plain(json.loads(input["config"])))
            assert trial is not None, "a trial without a number is never refused"
            run, _ = store.runs.open(sweep.project, trial.run_name, sweep=sweep.name, config=trial.parameters)
            store.runs.update(run, state="pending", display_name=input.get("displayName"))
        return {"id": run.name, "runQueueItemId": outer("Trial", trial.id)}

    def _project(self, input: Mapping[str, Any], create: bool = False) -> StoredProject:
        entity = input.get("entityName") or self._context.entity
        return self._context.store.runs.project(input.get("projectName") or UNNAMED, entity, create=create)


def _said(input: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says of a sweep, in the store's words."""
    names = {"displayName": "display_name", "description": "description", "controller": "controller", "state": "state"}
    said = {ours: input[theirs] for theirs, ours in names.items() if input.get(theirs) is not None}
    if "state" in said and str(said["state"]).upper() not in STATES:
        raise SweepError(f"state is {said['state']!r}; it must be one of {', '.join(STATES)}.")
    return {**said, **({"state": said["state"].upper()} if "state" in said else {})}


def _named(filters: Any) -> Iterator[str]:
    """The names in a filter of runs, such as ``{"$or": [{"name": "a"}, {"name": "b"}]}``."""
    if isinstance(filters, list):
        for each in filters:
            yield from _named(each)
    elif isinstance(filters, Mapping):
        for key, value in filters.items():
            if key == "name":
                yield from value.get("$in", []) if isinstance(value, Mapping) else [value]
            elif key in ("$or", "$and"):
                yield from _named(value)


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as a plain configuration, from ``{"lr": {"value": 0.1}}`` or from one that is plain already."""
    wrapped = all(isinstance(each, Mapping) and "value" in each for each in arguments.values())
    return {name: each["value"] if wrapped else each for name, each in arguments.items()}


def _command(command: Command, program: str | None) -> dict[str, Any]:
    match command:
        case Begin(trial, again):
            arguments = {name: {"value": value} for name, value in trial.parameters.items()}
            kind = "resume" if again else "run"
            return {"type": kind, "run_id": trial.run_name, "program": program, "args": arguments}
        case Stop(run_name):
            return {"type": "stop", "run_id": run_name}
        case Leave():
            return {"type": "exit"}
