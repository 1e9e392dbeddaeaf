"""What stands in TensorBoard's event files."""

from pathlib import Path
from typing import Any, NamedTuple


class Value(NamedTuple):
    """One value of an event; ``plugin`` says which of TensorBoard's pages shows it."""

    step: int
    tag: str
    plugin: str
    value: Any


def values_in(folder: Path) -> list[Value]:
    """All values in the event files of one folder, in the order in which the files and the values were written."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    files = sorted(Path(folder).glob("*tfevents*"), key=lambda path: path.stat().st_ctime_ns)
    events = (event for path in files for event in EventFileLoader(str(path)).Load())
    return [
        Value(event.step, value.tag, value.metadata.plugin_data.plugin_name, _plain(value))
        for event in events
        for value in event.summary.value
    ]


def rows_in(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """The scalars of each event that has some."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    rows = []
    for path in sorted(Path(folder).glob("*tfevents*"), key=lambda path: path.stat().st_ctime_ns):
        for event in EventFileLoader(str(path)).Load():
            row = {v.tag: v.tensor.float_val[0] for v in event.summary.value if len(v.tensor.float_val) == 1}
            rows += [(event.step, row)] if row else []
    return rows


def _plain(value: Any) -> Any:
    from tensorboard.util.tensor_util import make_ndarray

    kind = value.metadata.plugin_data.plugin_name
    if kind == "scalars":
        return float(make_ndarray(value.tensor))
    if kind == "text":
        return "\n".join(part.decode() for part in make_ndarray(value.tensor).reshape(-1))
    return _session(value.metadata.plugin_data.content) if kind == "hparams" else None


def _session(content: bytes) -> Any:
    """The hyperparameters that a session begins with, or the metrics that an experiment lists."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    data = HParamsPluginData.FromString(content)
    began = data.session_start_info.hparams
    metrics = [each.name.tag for each in data.experiment.metric_infos]
    return {name: getattr(each, each.WhichOneof("kind")) for name, each in sorted(began.items())} or metrics
