"""What a run's records say, as plain Python: ``decode`` turns the bytes of one record into one of the classes here."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from fulgurite.track.wire.offline import messages

Path = tuple[str, ...]
"""A key, or the keys from the outermost dict to the value."""

# A third of the time of `json.loads`, which asks again for each value what kind of text it is.
_raw_decode = json.JSONDecoder().raw_decode

GOALS = {1: "minimize", 2: "maximize"}
POLICIES = {0: "now", 1: "end", 2: "live"}
FILE_KINDS = {0: "other", 1: "wandb", 2: "media", 3: "artifact"}


@dataclass(frozen=True, slots=True)
class Header:
    """The first record: which client wrote the file, such as ``0.31.0``; old ones say it in ``Run`` only."""

    client_version: str


class Change:
    """Values to set and keys to delete in a nested dict, in this order.

    Decoded when asked for: each row of the history brings two changes of the summary, and most are soon overwritten.
    """

    __slots__ = ("_message",)

    def __init__(self, message: Any) -> None:
        self._message = message

    @property
    def update(self) -> list[tuple[Path, Any]]:
        """Where each new value goes, and the value."""
        return [(_path(item), _json(item.value_json)) for item in self._message.update]

    @property
    def remove(self) -> list[Path]:
        """What is deleted."""
        return [_path(item) for item in self._message.remove]

    def apply_to(self, tree: dict[str, Any]) -> None:
        """Make the change in ``tree``. A value that stands where a dict is needed gives way to it."""
        _set_all(tree, self._message.update, lambda item: None)
        for path in self.remove:
            _delete(tree, path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(update={self.update}, remove={self.remove})"


class ConfigChange(Change):
    """A change of the configuration; the client keeps notes of its own under the key ``_wandb``."""

    __slots__ = ()


class SummaryChange(Change):
    """A change of the summary, by the user or, after each row, by the client."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Git:
    """Where the code came from."""

    remote: str
    commit: str


@dataclass(frozen=True, slots=True)
class BranchPoint:
    """The place in another run from which this one goes on: where ``metric`` (``_step``) was ``value``."""

    run: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Run:
    """What a run is called and begins with. Written anew when name, notes or tags change; empty text is not given."""

    id: str
    entity: str
    project: str
    display_name: str
    group: str
    job_type: str
    notes: str
    tags: tuple[str, ...]
    sweep: str
    host: str
    started: float | None
    """Seconds since 1970."""
    starting_step: int
    runtime: int
    """Seconds that earlier parts of a resumed run took."""
    resume: bool
    resumed: bool
    forked: bool
    branch_point: BranchPoint | None
    git: Git | None
    config: ConfigChange
    summary: SummaryChange
    client_version: str
    python_version: str


@dataclass(frozen=True, slots=True)
class Environment:
    """The machine and the program of one writing process, in parts: later ones add to those of the same ``writer``."""

    writer: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One row of the history, nested as it was logged; ``_step``, ``_runtime`` and ``_timestamp`` are among them."""

    step: int | None
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """What ``define_metric`` said of one metric (``name``) or of all that fit a pattern (``glob``)."""

    name: str
    glob: str
    step_metric: str
    step_sync: bool
    hidden: bool
    defined: bool
    summaries: tuple[str, ...]
    """Out of min, max, mean, best, last, first, copy and none."""
    goal: str | None
    """minimize, maximize or not said."""
    overwrite: bool
    from_glob: bool


@dataclass(frozen=True, slots=True)
class SystemMetrics:
    """What the machine did at one time."""

    time: float
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConsoleText:
    """Text as it was written, with its line ends; ``raw`` if terminal codes are still in it."""

    stream: str
    """stdout or stderr."""
    time: float | None
    text: str
    raw: bool


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file to keep, by its path in the run's ``files`` folder, and when: now, at the end or live."""

    path: str
    policy: str
    kind: str
    """wandb, media, artifact or other."""


@dataclass(frozen=True, slots=True)
class FilesSaved:
    """The run keeps these files."""

    files: tuple[SavedFile, ...]


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file of an artifact: at ``local_path`` on the machine that wrote the record, or a reference to elsewhere."""

    path: str
    digest: str
    size: int
    reference: str
    local_path: str
    birth_artifact: str
    skip_cache: bool
    extra: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact that the run logged. ``manifest.entries_of`` gives its files, wherever they are listed."""

    type: str
    name: str
    entity: str
    project: str
    run: str
    digest: str
    digest_algorithm: str
    description: str
    metadata: dict[str, Any]
    aliases: tuple[str, ...]
    tags: tuple[str, ...]
    client_id: str
    """By this other records call it, as ``wandb-client-artifact://<id>/<path>``."""
    sequence_client_id: str
    distributed_id: str
    base: str
    ttl: int
    """Seconds; 0 is not said, negative is to keep it for ever."""
    finalize: bool
    incremental: bool
    user_created: bool
    use_after_commit: bool
    storage: dict[str, Any]
    entries: tuple[ManifestEntry, ...]
    manifest_file: str


@dataclass(frozen=True, slots=True)
class ArtifactUsed:
    """The run took this artifact as input."""

    id: str
    type: str
    name: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A message to the user; ``wait`` seconds must pass before the next of the same title."""

    title: str
    text: str
    level: str
    wait: float


@dataclass(frozen=True, slots=True)
class Preempting:
    """The machine is about to be taken away."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The run ended; without this record it was cut off. ``complete`` is False if it is to go on later."""

    code: int
    runtime: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Final:
    """The writer has written all."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A record that says nothing about the run, or of a kind not known here: then ``kind`` is its field number."""

    kind: str


Content = (
    Header | Run | Environment | ConfigChange | SummaryChange | HistoryRow | MetricDefinition | SystemMetrics
    | ConsoleText | FilesSaved | Artifact | ArtifactUsed | Alert | Preempting | Exit | Final | Ignored
)  # fmt: skip


def decode(data: bytes) -> Content:
    """Return what the record says. Raises ``ValueError`` if ``data`` is no record."""
    try:
        record: Any = messages.Record.FromString(data)
    except DecodeError as error:
        raise ValueError(f"no record: {error}") from error
    kind = record.WhichOneof("content")
    make = MAKERS.get(kind)
    if make:
        return make(getattr(record, kind))
    return Ignored(kind or _unknown_kind(record))


def _unknown_kind(record: Any) -> str:
    # 1 counts the records, 16 and 200 and the text 19 say how they travelled.
    numbers = [unknown.field_number for unknown in UnknownFieldSet(record)]
    return next((str(number) for number in numbers if number not in (1, 16, 19, 200)), "empty")


def _header(message: Any) -> Header:
    return Header(message.version_info.producer.partition("+")[0])


def _run(message: Any) -> Run:
    return Run(
        id=message.run_id,
        entity=message.entity,
        project=message.project,
        display_name=message.display_name,
        group=message.run_group,
        job_type=message.job_type,
        notes=message.notes,
        tags=tuple(message.tags),
        sweep=message.sweep_id,
        host=message.host,
        started=_time(message, "start_time"),
        starting_step=message.starting_step,
        runtime=message.runtime,
        resume=message.resume,
        resumed=message.resumed,
        forked=message.forked,
        branch_point=_branch_point(message),
        git=Git(message.git.remote_url, message.git.commit) if message.HasField("git") else None,
        config=ConfigChange(message.config),
        summary=SummaryChange(message.summary),
        client_version=message.telemetry.cli_version,
        python_version=message.telemetry.python_version,
    )


def _branch_point(message: Any) -> BranchPoint | None:
    if not message.HasField("branch_point"):
        return None
    point = message.branch_point
    return BranchPoint(point.run, point.metric, point.value)


def _path(item: Any) -> Path:
    return tuple(item.nested_key) or (item.key,)


def _set_all(tree: dict[str, Any], items: Any, without_json: Callable[[Any], Any]) -> None:
    """Put the value of each item where its path says. Most paths are one key, and all the time goes here."""
    for item in items:
        text = item.value_json
        value = _json(text) if text else without_json(item)
        path = item.nested_key
        if len(path) < 2:
            tree[path[0] if path else item.key] = value
        else:
            _place(tree, path)[path[-1]] = value


def _place(tree: dict[str, Any], path: Iterable[str]) -> dict[str, Any]:
    """The dict in which the last key of ``path`` stands."""
    *above, _ = path
    for key in above:
        below = tree.get(key)
        if not isinstance(below, dict):
            below = tree[key] = {}
        tree = below
    return tree


def _delete(tree: dict[str, Any], path: Path) -> None:
    *above, name = path
    for key in above:
        below = tree.get(key)
        if not isinstance(below, dict):
            return
        tree = below
    tree.pop(name, None)


def _json(text: str) -> Any:
    """The value; what is no JSON comes as the text it is, and no text at all as None."""
    try:
        value, end = _raw_decode(text)
    except ValueError:
        return text or None
    return value if end == len(text) else text


def _history(message: Any) -> HistoryRow:
    values: dict[str, Any] = {}
    # A client fills either the older field with JSON or one of the newer, typed ones.
    _set_all(values, message.item, _typed)
    return HistoryRow(message.step.num if message.HasField("step") else None, values)


def _typed(item: Any) -> Any:
    kind = item.WhichOneof("value")
    if kind is None or kind == "none":
        return None
    value = getattr(item, kind)
    return _json(value) if kind == "json" else value


def _metric(message: Any) -> MetricDefinition:
    return MetricDefinition(
        name=message.name,
        glob=message.glob_name,
        step_metric=message.step_metric,
        step_sync=message.options.step_sync,
        hidden=message.options.hidden,
        defined=message.options.defined,
        summaries=tuple(kind.name for kind, chosen in message.summary.ListFields() if chosen),
        goal=GOALS.get(message.goal),
        overwrite=message._control.overwrite,
        from_glob=message.expanded_from_glob,
    )


def _stats(message: Any) -> SystemMetrics:
    return SystemMetrics(_time(message) or 0.0, {item.key: _json(item.value_json) for item in message.item})


def _output(message: Any, raw: bool = False) -> ConsoleText:
    stream = "stdout" if message.output_type else "stderr"
    return ConsoleText(stream, _time(message), message.line, raw)


def _output_raw(message: Any) -> ConsoleText:
    return _output(message, raw=True)


def _files(message: Any) -> FilesSaved:
    files = (
        SavedFile(item.path, POLICIES.get(item.policy, "now"), FILE_KINDS.get(item.type, "other"))
        for item in message.files
    )
    return FilesSaved(tuple(files))


def _artifact(message: Any) -> Artifact:
    manifest = message.manifest
    return Artifact(
        type=message.type,
        name=message.name,
        entity=message.entity,
        project=message.project,
        run=message.run_id,
        digest=message.digest,
        digest_algorithm=message.digest_algorithm,
        description=message.description,
        metadata=_dict(message.metadata),
        aliases=tuple(message.aliases),
        tags=tuple(message.tags),
        client_id=message.client_id,
        sequence_client_id=message.sequence_client_id,
        distributed_id=message.distributed_id,
        base=message.base_id,
        ttl=message.ttl_duration_seconds,
        finalize=message.finalize,
        incremental=message.incremental_beta1,
        user_created=message.user_created,
        use_after_commit=message.use_after_commit,
        storage={"policy": manifest.storage_policy, **_settings(manifest.storage_policy_config)},
        entries=tuple(_entry(item) for item in manifest.contents),
        manifest_file=manifest.manifest_file_path,
    )


def _dict(text: str) -> dict[str, Any]:
    value = _json(text)
    return value if isinstance(value, dict) else {}


def _entry(item: Any) -> ManifestEntry:
    return ManifestEntry(
        path=item.path,
        digest=item.digest,
        size=item.size,
        reference=item.ref,
        local_path=item.local_path,
        birth_artifact=item.birth_artifact_id,
        skip_cache=item.skip_cache,
        extra=_settings(item.extra),
    )


def _settings(items: Any) -> dict[str, Any]:
    return {item.key: _json(item.value_json) for item in items}


def _artifact_used(message: Any) -> ArtifactUsed:
    return ArtifactUsed(message.id, message.type, message.name)


def _alert(message: Any) -> Alert:
    return Alert(message.title, message.text, message.level, message.wait_duration / 1000)


def _exit(message: Any) -> Exit:
    return Exit(message.exit_code, message.runtime, not message.not_complete)


def _environment(message: Any) -> Environment:
    values = _plain(message)
    values.pop("writer_id", None)
    if started := _time(message, "started_at"):
        values["started_at"] = started
    return Environment(message.writer_id, values)


def _plain(message: Any) -> dict[str, Any]:
    """The fields that are set, by name; entries of maps become dicts."""
    return {field.name: _plain_value(value) for field, value in message.ListFields()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, str | int | float):
        return value
    if hasattr(value, "ListFields"):
        return _plain(value)
    items = [_plain_value(item) for item in value]
    if items and all(isinstance(item, dict) and item.keys() <= {"key", "value"} for item in items):
        return {item.get("key", ""): item.get("value", "") for item in items}
    return items


def _time(message: Any, name: str = "timestamp") -> float | None:
    if not message.HasField(name):
        return None
    stamp = getattr(message, name)
    return stamp.seconds + stamp.nanos / 1e9


MAKERS: dict[str, Callable[[Any], Content]] = {
    "header": _header,
    "run": _run,
    "environment": _environment,
    "config": ConfigChange,
    "summary": SummaryChange,
    "history": _history,
    "metric": _metric,
    "stats": _stats,
    "output": _output,
    "output_raw": _output_raw,
    "files": _files,
    "artifact": _artifact,
    "use_artifact": _artifact_used,
    "alert": _alert,
    "preempting": lambda message: Preempting(),
    "exit": _exit,
    "final": lambda message: Final(),
}
