"""The default logger: runs go to the store on this machine, where `fulgurite ui` shows them."""

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.rank import rank_zero_info, rank_zero_only, rank_zero_warn
from fulgurite.core.logger import Logger, plain_params, prefixed, rank_zero_experiment
from fulgurite.core.summary import count
from fulgurite.loggers.folder import FolderLogger, HparamsFile
from fulgurite.track.places import data_folder, unusable
from fulgurite.track.store.runs import KILLED, new_name
from fulgurite.track.writer import media
from fulgurite.track.writer.code import project_name
from fulgurite.track.writer.run import RunWriter

if TYPE_CHECKING:
    from torch import Tensor

    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint
    from fulgurite.core.module import LightningModule

SUCCESS = ("success", "finished")
INTERRUPTED = 255  # the exit code of a run that Ctrl-C ended, as W&B notes it


class TrackLogger(FolderLogger):
    """Keep the run in the store of this machine: $FULGURITE_DIR, ``~/.fulgurite``, or the folder ``store``.

    Checkpoints and ``hparams.yaml`` lie under ``save_dir/name/version_N``, by default in the working folder. The run is
    kept in ``project`` (the folder's name of the git repository, else of the working folder); ``id`` is its id there,
    and a run that is known under it is continued. Rows are kept by the trainer's step; rows of one step are one row.

    Beside them the run holds what is printed (``console``); how machine and process are doing (``system``: every 15 or
    so many seconds); and on which machine and from what ``code`` it runs: git's commit and the changes against it, the
    main script, the installed packages.

    ``log_model``: "all" keeps every checkpoint in the store when it is written, True those that are left at the end;
    else only their paths are noted. An unused logger leaves no run.
    """

    @checked
    def __init__(
        self,
        save_dir: str | os.PathLike[str] = ".",
        name: str | None = "lightning_logs",
        version: int | str | None = None,
        prefix: str = "",
        project: str | None = None,
        run_name: str | None = None,
        id: str | None = None,
        tags: Sequence[str] | str | None = None,
        notes: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        config: Mapping[str, Any] | None = None,
        log_model: Literal["all"] | bool = False,
        store: str | os.PathLike[str] | None = None,
        console: bool = True,
        system: bool | float = True,
        code: bool = True,
    ) -> None:
        super().__init__(save_dir, name, version, prefix)
        if log_model not in (True, False, "all"):
            raise MisconfigurationException(f'log_model={log_model!r} must be True, False or "all".')
        if not isinstance(system, bool | int | float):
            raise MisconfigurationException(f"system={system!r} must be True, False or a number of seconds.")
        self._project = project or project_name(os.getcwd())
        self._run_name, self._id = run_name, id
        self._known: dict[str, Any] = {
            "tags": [tags] if isinstance(tags, str) else list(tags or ()),
            "notes": notes,
            "group_name": group,
            "job_type": job_type,
        }
        self._config, self._log_model = config, log_model
        self._store = data_folder(store)
        self._recorded: dict[str, Any] = {"console": console, "system": system, "facts": code}
        self._writer: RunWriter | None = None
        self._hparams: HparamsFile | None = None
        self._checkpoints: dict[str, ModelCheckpoint] = {}
        self._kept: dict[str, float] = {}

    @property
    def project(self) -> str:
        return self._project

    @property
    def run_id(self) -> str:
        """The run's id in the store: drawn at the first question, and kept."""
        if self._id is None:
            self._id = new_name()
        return self._id

    @property
    @rank_zero_experiment
    def experiment(self) -> RunWriter:
        """The run's writer. The first use makes the run's folder, which takes its number."""
        if self._writer is None:
            folder = self._take_folder()
            shown = os.path.basename(folder)
            shown = shown if self._name in ("lightning_logs", "") else f"{self._name}/{shown}"
            self._writer = RunWriter(
                self._project,
                self.run_id,
                store=self._store,
                rescue=folder,
                display_name=self._run_name or shown,
                **self._known,
                **self._recorded,
            )
            self._hparams = HparamsFile(folder)
            if self._config:
                self._writer.config(plain_params(self._config))
        self._writer.listen()
        return self._writer

    def state_dict(self) -> dict[str, Any]:
        """Nothing: rows that come again have their steps, and take their places. They are in the store by now."""
        if self._writer is not None:
            self._writer.flush()
        return {}

    @rank_zero_only
    def on_stop_asked(self, stop: Callable[[], object]) -> None:
        """Call ``stop`` when `fulgurite ui` or the public API asks the run to stop."""
        self.experiment.on_stop = stop

    @rank_zero_only
    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        values = plain_params(params)
        self.experiment.config(values)
        assert self._hparams is not None, "the writer brings it"
        self._hparams.add(values)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one row; without ``step`` it is one more than the last."""
        self.experiment.log(prefixed(metrics, self._prefix, self.LOGGER_JOIN_CHAR) if self._prefix else metrics, step)

    @rank_zero_only
    def log_graph(self, model: "LightningModule", input_array: "Tensor | None" = None) -> None:
        """Keep the model's modules as text, before the first step of a fit."""
        if model.trainer is not None and str(model.trainer.state.fn) == "fit":
            text = f"{model}\n\n{count(model.parameters()):,} parameters\n"
            self.experiment.file("model.txt", text.encode(errors="replace"))

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        """Log images: tensors (channels first), arrays (channels last), PIL images, figures or paths.

        ``caption`` and ``file_type`` are lists with one entry per image. Without ``step`` it is the last row's.
        """
        self._log_media(key, step, media.images, images, **kwargs)

    @rank_zero_only
    def log_audio(self, key: str, audios: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        """Log sounds: paths or arrays; ``caption`` and ``sample_rate`` are lists with one entry per sound."""
        self._log_media(key, step, media.audio, audios, **kwargs)

    @rank_zero_only
    def log_video(self, key: str, videos: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        """Log videos: paths or arrays; ``caption`` and ``fps`` are lists with one entry per video."""
        self._log_media(key, step, media.videos, videos, **kwargs)

    @rank_zero_only
    def log_html(self, key: str, html: Any, step: int | None = None) -> None:
        """Log a page or a list of pages: their source or paths."""
        self._log_media(key, step, media.html, html)

    @rank_zero_only
    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Iterable[Sequence[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table from ``columns`` and ``data`` or from a data frame."""
        self._log_media(key, step, media.table, columns, data, dataframe)

    @rank_zero_only
    def log_text(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Iterable[Sequence[str]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log text as a table."""
        self._log_media(key, step, media.table, columns, data, dataframe)

    @rank_zero_only
    def log_histogram(self, key: str, values: Any, step: int | None = None, bins: int | Sequence[float] = 64) -> None:
        """Log how many of the finite ``values`` lie in each of ``bins``."""
        self._log_row(key, step, media.histogram(values, bins))

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: "ModelCheckpoint") -> None:
        self._checkpoints[checkpoint_callback.state_key] = checkpoint_callback
        self.experiment.summary({"checkpoints": {each.monitor or "latest": _noted(each) for each in self._callbacks()}})
        if self._log_model == "all" or (self._log_model and checkpoint_callback.save_top_k == -1):
            self._keep_checkpoints(checkpoint_callback)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write everything and note how the run ended. A test or a next fit goes on with the same run."""
        if self._writer is None:
            return
        self._writer.on_stop = None
        if self._log_model is True:
            for callback in self._callbacks():
                self._keep_checkpoints(callback)
        error = sys.exc_info()[1]
        if status not in SUCCESS and error is not None and not isinstance(error, SystemExit):
            self._writer.broke(error)
        self._writer.finish(*_ending(status, error))
        with suppress(OSError):
            os.rmdir(self._lending)

    def _callbacks(self) -> "list[ModelCheckpoint]":
        return list(self._checkpoints.values())

    def _keep_checkpoints(self, callback: "ModelCheckpoint") -> None:
        paths = {callback.best_model_path, callback.last_model_path, *callback.best_k_models}
        for path in sorted(path for path in paths if path and os.path.isfile(path)):
            written = os.path.getmtime(path)
            if self._kept.get(path) != written:
                self._kept[path] = written
                lent = self._lent(path)
                self.experiment.file(f"checkpoints/{os.path.basename(path)}", lent or path, lent=lent is not None)

    def _lent(self, path: str) -> str | None:
        """Another name for a checkpoint, under which it stays until it is kept: the callback may delete its own.

        None where there is no room for one; the training goes on.
        """
        other = os.path.join(self._lending, f"{secrets.token_hex(4)}-{os.path.basename(path)}")
        try:
            os.makedirs(self._lending, exist_ok=True)
            try:
                os.link(path, other)
            except OSError:
                shutil.copyfile(path, other)
        except OSError as error:
            rank_zero_warn(
                f"{path} is kept in the run only if it stays until it was read: no copy can be made ({error})."
            )
            return None
        return other

    @property
    def _lending(self) -> str:
        return os.path.join(self.log_dir, ".lent")

    def _log_media(self, key: str, step: int | None, make: Any, *given: Any, **lists: Any) -> None:
        place = (key, max(self.experiment.step, 0) if step is None else step)
        value, files = make(place, *given, **lists)
        for kept in files:
            self.experiment.file(kept.name, kept.content)
        self._log_row(key, place[1], value)

    def _log_row(self, key: str, step: int | None, value: Any) -> None:
        self.log_metrics({key: value}, max(self.experiment.step, 0) if step is None else step)

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process goes on with the same run: it is told the id, and has no rows of its own.
        state = {**self.__dict__, "_id": self.run_id, "_version": self.version, "_writer": None, "_hparams": None}
        return {**state, "_checkpoints": {}, "_kept": {}}


def default_logger(save_dir: str) -> Logger:
    """A TrackLogger; a CSVLogger where the store can't be used, and a line that says why."""
    reason = unusable(data_folder())
    if reason is None:
        return TrackLogger(save_dir)
    from fulgurite.loggers.csv import CSVLogger  # late: seldom needed

    rank_zero_info(f"{reason} This run is logged to metrics.csv instead; $FULGURITE_DIR names another folder.")
    return CSVLogger(save_dir)


def _noted(callback: "ModelCheckpoint") -> dict[str, Any]:
    """Where its files are; of one that watches no metric, the latest, which is neither the best nor has a score."""
    path = getattr(callback, "last_model_path", "")
    last = {"last": path} if path else {}
    if callback.monitor is None:
        return {"path": callback.best_model_path, **last}
    score: Any = callback.best_model_score
    number = score.item() if hasattr(score, "item") else score
    return {"best": callback.best_model_path, **last, "score": number, "mode": callback.mode}


def _ending(status: str, error: BaseException | None) -> tuple[int, str | None]:
    """The exit code and, where the code does not tell it, the state of a run that ends so."""
    if status in SUCCESS:
        return 0, None
    if status == "interrupted" or isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, KILLED
    if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code:
        return error.code, KILLED if error.code > 128 else None
    return 1, None
