"""Runs that were written for TensorBoard: scalars, images, histograms and texts of the event files in one folder."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fulgurite.base.optional import require
from fulgurite.track.store.runs import FINISHED, Run
from fulgurite.track.store.store import Store
from fulgurite.track.transfer.from_csv import hyperparameters

EVENTS = 5_000  # kept in one transaction
PATTERN = "*tfevents*"
HPARAMS = "_hparams_/session_start_info"
TEXT = "/text_summary"  # what torch's writer puts behind the name of a text


def find(folder: Path) -> list[Path]:
    """The folders at or below ``folder`` with event files; TensorBoard calls each of them a run."""
    return sorted({path.parent for path in Path(folder).rglob(PATTERN)})


def take(store: Store, folder: Path, project: str, name: str | None = None) -> Run:
    """Keep the events of one folder as a run of ``project``. Taken again, it is the same run with what is new.

    Raises ``MissingExtra`` if the tensorboard package, which reads the files, is not there.
    """
    events = _events(folder)
    # Every file begins with an event that only says when, and in which version, it was written.
    began = ended = next((event.wall_time for event in events), 0.0)
    run, _ = store.runs.open(
        store.runs.project(project, create=True),
        hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8],
        source="tensorboard",
        created_at=began or None,
        display_name=name or f"{folder.parent.name}/{folder.name}",
        config=hyperparameters(folder / "hparams.yaml"),
        facts={"folder": str(folder.resolve())},
    )
    batch: list[tuple[int, dict[str, Any]]] = []
    summary: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for event in events:
        ended = max(ended, event.wall_time)
        for value in event.summary.value:
            config |= _hyperparameters(value)
        kept = {value.tag.removesuffix(TEXT): _kept(store, run, event.step, value) for value in event.summary.value}
        row = {tag: value for tag, value in kept.items() if value is not None}
        if row:
            batch.append((event.step, {**row, "_timestamp": event.wall_time}))
            summary.update(row)
        if len(batch) == EVENTS:
            store.history.append(run.id, batch)
            batch = []
    store.history.append(run.id, batch)
    run = store.runs.update(run, summary=summary, config={**run.config, **config})
    run = store.end(run, 0, FINISHED)
    return store.runs.update(run, ended_at=ended, seen_at=ended) if ended else run


def _events(folder: Path) -> Iterator[Any]:
    loader = require("tensorboard.backend.event_processing.event_file_loader", "tensorboard")
    for path in sorted(folder.glob(PATTERN)):
        yield from loader.EventFileLoader(str(path)).Load()


def _hyperparameters(value: Any) -> dict[str, Any]:
    """What ``add_hparams`` wrote that the run began with; empty for any other value."""
    if value.tag != HPARAMS or value.metadata.plugin_data.plugin_name != "hparams":
        return {}
    kind = require("tensorboard.plugins.hparams.plugin_data_pb2", "tensorboard").HParamsPluginData
    found = kind.FromString(value.metadata.plugin_data.content).session_start_info.hparams
    return {name: _plain(getattr(each, each.WhichOneof("kind") or "", None)) for name, each in found.items()}


def _plain(value: Any) -> Any:
    return value if isinstance(value, float | str | bool | None) else str(value)


def _kept(store: Store, run: Run, step: int, value: Any) -> Any:
    """One summary's value as a run logs it; None for kinds that have no place here."""
    kind = value.metadata.plugin_data.plugin_name
    tensor = require("tensorboard.util.tensor_util", "tensorboard").make_ndarray(value.tensor)
    if kind == "scalars":
        return float(tensor.reshape(-1)[0])
    if kind == "text":
        return "\n".join(each.decode(errors="replace") for each in tensor.reshape(-1))
    if kind == "histograms" and tensor.size:
        # Rows of (left edge, right edge, count), side by side.
        edges = [*tensor[:, 0].tolist(), float(tensor[-1, 1])]
        return {"_type": "histogram", "bins": edges, "values": tensor[:, 2].tolist()}
    if kind == "images" and tensor.size > 2:
        return _image(store, run, step, value.tag, tensor)
    return None


def _image(store: Store, run: Run, step: int, tag: str, tensor: Any) -> dict[str, Any]:
    """The first picture of a summary, as a file of the run. The tensor is (width, height, PNG, PNG, …) in text."""
    width, height, data = int(tensor[0]), int(tensor[1]), bytes(tensor[2])
    blob = store.blobs.keep_bytes(data)
    path = f"media/images/{tag}_{step}_{blob.sha256[:20]}.png"
    store.blobs.put(run.id, path, blob)
    about = {"path": path, "sha256": blob.sha256, "size": blob.size, "format": "png"}
    return {"_type": "image-file", **about, "width": width, "height": height}
