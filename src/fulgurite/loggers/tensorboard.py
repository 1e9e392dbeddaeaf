"""Runs for TensorBoard: scalars, hyperparameters, the model's graph, pictures and text in event files."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import no_grad

from fulgurite.base.arguments import checked
from fulgurite.base.optional import require
from fulgurite.base.rank import rank_zero_only, rank_zero_warn
from fulgurite.base.seed import isolate_rng
from fulgurite.core.export import detached, evaluating
from fulgurite.core.logger import flatten, plain_number, plain_params, prefixed, rank_zero_experiment
from fulgurite.loggers.folder import FolderLogger, HparamsFile
from fulgurite.loggers.markdown import markdown
from fulgurite.track.writer.media import listed, picture_of, rows_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

    from fulgurite.core.module import LightningModule


class TensorBoardLogger(FolderLogger):
    """Write event files and ``hparams.yaml`` under ``save_dir/name/version_N``, or ``sub_dir`` there.

    ``version`` is a number, a folder's name, or None for the next free number. ``log_graph`` draws the model that has
    an ``example_input_array``. With hyperparameters a run has ``hp_metric`` -1, by which TensorBoard's HPARAMS page
    lists it; log a metric of that name for another value, or pass ``default_hp_metric=False``. Further arguments go to
    ``torch.utils.tensorboard.SummaryWriter``, which is ``experiment``.
    """

    NAME_HPARAMS_FILE = HparamsFile.NAME

    @checked
    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        log_graph: bool = False,
        default_hp_metric: bool = True,
        prefix: str = "",
        sub_dir: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        require("tensorboard", "tensorboard")
        super().__init__(save_dir, name, version, prefix)
        self._sub_dir = None if sub_dir is None else os.path.expandvars(os.path.expanduser(sub_dir))
        self._log_graph = log_graph
        self._default_hp_metric = default_hp_metric
        self._kwargs = kwargs
        self._experiment: SummaryWriter | None = None
        self._summary: Any = None
        self._hparams: HparamsFile | None = None
        self._step = self._highest = 0
        self._drawn = False

    @property
    def sub_dir(self) -> str | None:
        return self._sub_dir

    @property
    def log_dir(self) -> str:
        return os.path.join(super().log_dir, self._sub_dir) if self._sub_dir else super().log_dir

    @property
    def hparams(self) -> dict[str, Any]:
        """The hyperparameters that were logged."""
        return self._hparams.values if self._hparams is not None else {}

    @property
    @rank_zero_experiment
    def experiment(self) -> "SummaryWriter":
        """The writer of this run's events. The first use makes the run's folder, which takes its number."""
        if self._experiment is None:
            folder = self._take_folder()
            self._experiment = require("torch.utils.tensorboard", "tensorboard").SummaryWriter(folder, **self._kwargs)
            self._summary = require("tensorboard.compat.proto.summary_pb2", "tensorboard").Summary
            self._hparams = HparamsFile(folder)
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one row; without ``step`` it is one more than the last. A dict among the values is one chart."""
        writer = self.experiment
        self._step = step = self._step + 1 if step is None else step
        self._highest = max(self._highest, step)
        row = prefixed(metrics, self._prefix, self.LOGGER_JOIN_CHAR)
        # One event for the whole row: a quarter of what `add_scalar` costs for each of three values.
        event = self._summary()
        for name, value in row.items():
            if isinstance(value, Mapping):
                writer.add_scalars(name, value, step)
            else:
                event.value.add(tag=name, simple_value=_number(name, value))
        if event.value:
            writer._get_file_writer().add_summary(event, step)

    @rank_zero_only
    def log_hyperparams(
        self, params: Any = None, metrics: Mapping[str, Any] | float | None = None, step: int | None = None
    ) -> None:
        """Add to the hyperparameters; TensorBoard lists ``metrics``, or the one ``hp_metric``, beside them.

        The placeholder of -1 is logged once, so that it does not take the place of a metric that came later.
        """
        _ = self.experiment
        assert self._hparams is not None, "the writer brings it"
        first = not self._hparams.values
        self._hparams.add(plain_params(params))
        if isinstance(metrics, Mapping):
            listed_metrics = dict(metrics)
        elif metrics is not None:
            listed_metrics = {"hp_metric": metrics}
        else:
            listed_metrics = {"hp_metric": -1} if self._default_hp_metric else {}
        if listed_metrics and (first or metrics is not None):
            self.log_metrics(listed_metrics, step or 0)
            self._log_session(prefixed(listed_metrics, self._prefix, self.LOGGER_JOIN_CHAR))

    def _log_session(self, metrics: dict[str, Any]) -> None:
        """Write what TensorBoard's HPARAMS page reads."""
        summary = require("torch.utils.tensorboard.summary", "tensorboard")
        values = {
            name: value if isinstance(value, bool | int | float | str) else str(value)
            for name, value in flatten(self.hparams).items()
        }
        for part in summary.hparams(values, metrics):
            self.experiment._get_file_writer().add_summary(part)

    @rank_zero_only
    def log_graph(self, model: "LightningModule", input_array: "Tensor | None" = None) -> None:
        """Draw the model with ``input_array`` or its ``example_input_array``, once."""
        if not self._log_graph or self._drawn:
            return
        inputs = model.example_input_array if input_array is None else input_array
        if inputs is None:
            rank_zero_warn(
                "log_graph=True, but the model has no example_input_array, without which its graph can't be drawn. "
                "Set self.example_input_array in its __init__."
            )
            return
        self._drawn = True
        _draw(self.experiment, model, inputs)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        """Log pictures as ``key``, or ``key/0``, ``key/1``, … if there are several; ``caption`` as a text ``key``."""
        step = self._step if step is None else step
        items = listed("picture", images, kwargs, ("caption",))
        for number, (image, _) in enumerate(items):
            pixels = _pixels(image)
            name = key if len(items) == 1 else f"{key}/{number}"
            self.experiment.add_image(self._named(name), pixels, step, dataformats="HWC"[: pixels.ndim])
        if "caption" in kwargs:
            rows = [[number, entry["caption"]] for number, (_, entry) in enumerate(items)]
            self.experiment.add_text(self._named(key), markdown(["picture", "caption"], rows), step)

    @rank_zero_only
    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table as text in Markdown; pictures in it are told by their size."""
        text = markdown(*rows_of(columns, data, dataframe))
        self.experiment.add_text(self._named(key), text, self._step if step is None else step)

    def _named(self, key: str) -> str:
        return f"{self._prefix}{self.LOGGER_JOIN_CHAR}{key}" if self._prefix else key

    @rank_zero_only
    def save(self) -> None:
        if self._experiment is None:
            return
        if self._hparams is not None and not self._hparams.values and not os.path.exists(self._hparams.path):
            self._hparams.add({})
        self._experiment.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write everything and close the file. A test or a next fit goes on in a second one beside it."""
        self.save()
        if self._experiment is not None:
            self._experiment.close()

    def state_dict(self) -> dict[str, Any]:
        """Which folder has rows up to which step."""
        if self._experiment is None:
            return {}
        self._experiment.flush()
        return {"folder": os.path.abspath(self.log_dir), "step": self._step, "highest": self._highest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """In the same folder, let TensorBoard forget the rows that came after the checkpoint: they come again."""
        if rank_zero_only.rank != 0 or state["folder"] != os.path.abspath(self.log_dir):  # type: ignore[attr-defined]
            return
        events = require("tensorboard.compat.proto.event_pb2", "tensorboard")
        begun = events.SessionLog(status=events.SessionLog.START)
        # The user may log the epoch as "step": what counts is how far any row went.
        self._step, self._highest, first = state["step"], state["highest"], state["highest"] + 1
        # By this event readers drop what earlier files of the folder have at this step and later.
        self.experiment._get_file_writer().add_event(events.Event(session_log=begun), first)

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process writes a file of its own into the same folder.
        self.save()
        return {**self.__dict__, "_experiment": None, "_summary": None, "_hparams": None}


def _number(name: str, value: Any) -> float:
    try:
        return float(plain_number(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name}={value!r} is no number, and no dict of numbers, which is what TensorBoard draws. "
            "Log text with log_text."
        ) from error


def _pixels(image: Any) -> Any:
    """Rows of pixels, with the channels last."""
    picture = picture_of(image)
    numpy = require("numpy", "tensorboard")
    return numpy.asarray(picture if picture.mode in ("L", "RGB", "RGBA") else picture.convert("RGB"))


def _draw(writer: "SummaryWriter", model: "LightningModule", inputs: Any) -> None:
    """Trace the model, which stays as it is, as do all random states."""
    sample = model.transfer_batch_to_device(inputs, model.device, 0)
    with no_grad(), isolate_rng(), evaluating(model), detached(model):
        writer.add_graph(model, sample)
