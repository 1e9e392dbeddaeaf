"""Runs as Weights & Biases knows them: metrics, hyperparameters, media and model artifacts, online or offline."""

import atexit
import os
import secrets
import sys
import weakref
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from fulgurite.base.arguments import checked, shown
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.optional import require
from fulgurite.base.rank import rank_zero_deprecation, rank_zero_info, rank_zero_only, rank_zero_warn
from fulgurite.core.logger import Logger, plain_params, prefixed, rank_zero_experiment
from fulgurite.loggers.checkpoints import metadata_of, written_checkpoints
from fulgurite.loggers.wandb_client import (
    answers,
    bounds_are_ours,
    exit_code,
    has_account,
    open_run,
    run_folder,
    sync_command,
    when_finishing,
)
from fulgurite.loggers.wandb_models import (
    Policy,
    Upload,
    Uploads,
    add_model,
    artifact_name,
    kept,
    warn_of_unsent,
)
from fulgurite.track.places import note_folder
from fulgurite.track.writer.media import is_picture

if TYPE_CHECKING:
    from torch import Tensor, nn
    from wandb import Artifact
    from wandb.sdk.wandb_run import Run

    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint

# Runs that loggers of this process have opened. Any other run that is open was opened by the user, who means it.
_opened: "weakref.WeakKeyDictionary[Any, WandbLogger]" = weakref.WeakKeyDictionary()

HISTOGRAM_BINS = 64
SETTINGS_THAT_TELL = {"mode", "api_key", "base_url", "identity_token_file"}
"""With one of these among the client's settings, where the run goes is the script's own decision."""


class WandbLogger(Logger):
    """Log to W&B. The run opens at the first use of ``experiment``; ``wandb.finish()`` closes it.

    ``name`` is the run's name, ``project`` its project ($WANDB_PROJECT or "lightning_logs"), ``version`` or ``id`` its
    id; a run that is known under that id is continued. Further arguments go to ``wandb.init``. Where no account is
    configured or the server does not answer within half a minute, the run is recorded offline. A run that the script
    has opened is used; else each logger opens its own. At the end rows and files have two minutes to reach the server;
    the client's settings ``init_timeout`` and ``finish_timeout`` set other bounds.

    ``log_model``: "all" stores every checkpoint as an artifact when it is written, True the kept ones at the end. Until
    it is sent, a hard link in the run's folder holds its content. ``add_file_policy`` leaves that to W&B: "mutable"
    copies the file to its staging folder, "immutable" relies on the file staying as and where it is.
    """

    LOGGER_JOIN_CHAR = "-"

    @checked
    def __init__(
        self,
        name: str | None = None,
        save_dir: str | os.PathLike[str] = ".",
        version: str | int | None = None,
        offline: bool = False,
        dir: str | os.PathLike[str] | None = None,
        id: str | int | None = None,
        anonymous: bool | None = None,
        project: str | None = None,
        log_model: Literal["all"] | bool = False,
        experiment: "Run | None" = None,
        prefix: str = "",
        checkpoint_name: str | None = None,
        add_file_policy: Policy | None = None,
        **wandb_init_kwargs: Any,
    ) -> None:
        require("wandb", "wandb")
        if log_model not in (True, False, "all"):
            raise MisconfigurationException(f'log_model={log_model!r} must be True, False or "all".')
        if add_file_policy not in (None, "mutable", "immutable"):
            raise MisconfigurationException(f'add_file_policy={add_file_policy!r} must be "mutable" or "immutable".')
        if anonymous is not None:
            rank_zero_deprecation("WandbLogger(anonymous=...) has no effect any more: W&B has no anonymous runs.")
        if experiment is not None and not hasattr(experiment, "id"):
            raise MisconfigurationException(
                f"experiment={shown(experiment)}: a run, as `wandb.init` returns it, was expected."
            )
        self._prefix = prefix
        self._offline = offline
        self._log_model = log_model
        self._experiment = experiment
        self._add_file_policy = add_file_policy
        self._checkpoint_name = checkpoint_name
        self._callbacks_to_store: list[ModelCheckpoint] = []
        self._logged_model_time: dict[str, float] = {}
        self._uploads: Uploads | None = None
        self._watched: weakref.ref[nn.Module] | None = None
        self._attach_id: str | None = None
        self._copied = False
        self._sync_later = False
        self._idle = False
        self._exit_code = 0
        self._project = project or os.environ.get("WANDB_PROJECT", "lightning_logs")
        self._save_dir = os.fspath(save_dir or dir or ".")
        run_id = experiment.id if experiment is not None else id if version is None else version
        self._id = None if run_id is None else str(run_id)
        self._wandb_init = {"name": None if name is None else str(name), **wandb_init_kwargs}

    @property
    def name(self) -> str | None:
        """The project's name, which names the folder of checkpoints; the run's own is ``experiment.name``."""
        return self._project

    @property
    def version(self) -> str | None:
        """The run's id; None until the run is open if none was given."""
        return self._id

    @property
    def save_dir(self) -> str:
        return self._save_dir

    @property
    @rank_zero_experiment
    def experiment(self) -> "Run":
        """The W&B run. Opened at first use, and again under the same id if it was finished and logging goes on."""
        if self._experiment is None or (self._experiment in _opened and _is_finished(self._experiment)):
            self._experiment = self._attached() or self._users_own() or self._newly_opened()
            _set_axis(self._experiment, self._axis)
            self._follow(self._experiment)
        return self._experiment

    def _attached(self) -> "Run | None":
        """The run that this logger had before it was pickled, if it is still open."""
        attach_id, self._attach_id = self._attach_id, None
        if attach_id is None:
            return None
        for run in _opened:
            if run.id == self._id and not _is_finished(run):
                return run
        wandb = require("wandb", "wandb")
        try:
            return wandb._attach(attach_id)
        except wandb.errors.Error:
            return None

    def _users_own(self) -> "Run | None":
        run = require("wandb", "wandb").run
        if run is None or run in _opened:
            return None
        rank_zero_info(f"WandbLogger logs to the open run {run.id!r}. To log to a new one, call wandb.finish() first.")
        self._id = run.id
        return run

    def _newly_opened(self) -> "Run":
        wandb = require("wandb", "wandb")
        os.makedirs(self._save_dir, exist_ok=True)
        settings: dict[str, Any] = {"resume": "allow", **self._reinit(), **self._mode(wandb), **self._wandb_init}
        # The client's background process has its own working folder: it is told the whole path.
        settings |= {"project": self._project, "dir": os.path.abspath(self._save_dir), "id": self._id}
        try:
            run, self._sync_later = open_run(wandb, settings, must_be_online=self._must_be_online())
        except Exception:
            if not self._copied:
                raise
            # A copy of this logger in another process was faster.
            run = wandb._attach(self._id)
        _opened[run] = self
        self._id = self._id or run.id
        if run.offline:
            _note(run)
        _finish_at_exit()
        return run

    def _reinit(self) -> dict[str, str]:
        """How ``wandb.init`` shall deal with runs of other loggers that are open."""
        others = [logger for run, logger in _opened.items() if not _is_finished(run)]
        if not others:
            return {}
        # Loggers whose trainer is done make way, so that `wandb.run` is the new run; others log on beside it.
        return {"reinit": "finish_previous" if all(logger._idle for logger in others) else "create_new"}

    def _mode(self, wandb: ModuleType) -> dict[str, str]:
        if "mode" in self._wandb_init or _named(self._wandb_init.get("settings")) & SETTINGS_THAT_TELL:
            return {}
        if self._offline:
            return {"mode": "offline"}
        if "WANDB_MODE" in os.environ:
            # The client reads its environment once per process; the variable may be younger.
            return {"mode": os.environ["WANDB_MODE"]}
        if "WANDB_BASE_URL" in os.environ or has_account(wandb):
            return {}
        rank_zero_info(
            f"No W&B account is configured: this run is recorded offline in {Path(self._save_dir, 'wandb')}. "
            "`fulgurite ui` shows it, `wandb sync` sends it to a W&B server."
        )
        return {"mode": "offline"}

    def _must_be_online(self) -> bool:
        """Whether the script or its caller has asked for nothing else."""
        settings = self._wandb_init.get("settings")
        in_settings = settings.get("mode") if isinstance(settings, Mapping) else getattr(settings, "mode", None)
        asked = {self._wandb_init.get("mode"), os.environ.get("WANDB_MODE")}
        return "online" in asked | ({in_settings} if "mode" in _named(settings) else set())

    @property
    def _axis(self) -> str:
        return "global_step" if self._wandb_init.get("sync_tensorboard") else "trainer/global_step"

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process continues the same run: it is told the id, and where the open run is to be found.
        self._id = self.version or secrets.token_hex(4)
        self._copied = True
        state = self.__dict__.copy()
        state["_attach_id"] = getattr(self._experiment, "_attach_id", None) or self._attach_id
        state["_experiment"] = state["_watched"] = state["_uploads"] = None
        return state

    @rank_zero_only
    def watch(
        self,
        model: "nn.Module",
        log: Literal["gradients", "parameters", "all"] | None = "gradients",
        log_freq: int = 100,
        log_graph: bool = True,
    ) -> None:
        """Log histograms: of the gradients every ``log_freq`` backward passes, of the parameters with the next row
        after as many steps.
        """
        # W&B takes the parameters from a hook on the model's __call__, which a training_step never goes through.
        gradients = {"all": "gradients", "parameters": None}.get(log or "", log)
        self.experiment.watch(model, log=gradients, log_freq=log_freq, log_graph=log_graph)
        if log in ("all", "parameters"):
            self._watched, self._watched_every, self._watched_next = weakref.ref(model), log_freq, 0

    def _watched_parameters(self, step: int) -> dict[str, Any]:
        """Histograms of the watched model's parameters, if they are due at ``step``."""
        model = self._watched() if self._watched is not None and step >= self._watched_next else None
        if model is None:
            return {}
        self._watched_next = step + self._watched_every
        found = {f"parameters/{name}": _histogram(each) for name, each in model.named_parameters()}
        return {name: histogram for name, histogram in found.items() if histogram is not None}

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.experiment.config.update(plain_params(params), allow_val_change=True)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one row. ``step`` goes in as ``trainer/global_step``; W&B's own step counts the rows."""
        row = prefixed(metrics, self._prefix, self.LOGGER_JOIN_CHAR)
        if step is not None:
            row.update(self._watched_parameters(step))
            if self._axis == "trainer/global_step":
                row["trainer/global_step"] = step
        self._idle = False
        self.experiment.log(row)

    @rank_zero_only
    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table from ``columns`` and ``data`` or from a data frame.

        Cells may be text, numbers, W&B media, and pictures: PIL images, or tensors (channels, height, width).
        """
        wandb = require("wandb", "wandb")
        if data is not None:
            data = [[wandb.Image(_pixels(cell)) if is_picture(cell) else cell for cell in row] for row in data]
        self.log_metrics({key: wandb.Table(columns=columns, data=data, dataframe=dataframe)}, step)

    @rank_zero_only
    def log_text(
        self,
        key: str,
        columns: list[str] | None = None,
        data: list[list[str]] | None = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log text as a table."""
        self.log_table(key, columns, data, dataframe, step)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        """Log images: tensors (channels first), arrays (channels last), PIL images, figures or paths.

        Each further argument (``caption``, ``masks``, ``boxes``, ``file_type``) is a list with one entry per image.
        """
        self._log_media("Image", key, [_pixels(image) for image in _listed(images)], step, kwargs)

    @rank_zero_only
    def log_audio(self, key: str, audios: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        """Log sounds: arrays or paths; ``caption`` and ``sample_rate`` are lists with one entry per sound."""
        self._log_media("Audio", key, _listed(audios), step, kwargs)

    @rank_zero_only
    def log_video(self, key: str, videos: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        """Log videos: arrays or paths; ``caption``, ``fps`` and ``format`` are lists with one entry per video."""
        self._log_media("Video", key, _listed(videos), step, kwargs)

    def _log_media(self, kind: str, key: str, media: list[Any], step: int | None, lists: dict[str, list[Any]]) -> None:
        for name, values in lists.items():
            if len(values) != len(media):
                raise ValueError(f"Expected {len(media)} items in {name}, one per {kind.lower()}, got {len(values)}.")
        make = getattr(require("wandb", "wandb"), kind)
        made = [make(each, **{name: values[i] for name, values in lists.items()}) for i, each in enumerate(media)]
        self.log_metrics({key: made}, step)

    def after_save_checkpoint(self, checkpoint_callback: "ModelCheckpoint") -> None:
        if self._log_model == "all" or (self._log_model is True and checkpoint_callback.save_top_k == -1):
            self._log_checkpoints(checkpoint_callback)
        elif self._log_model is True and checkpoint_callback not in self._callbacks_to_store:
            self._callbacks_to_store.append(checkpoint_callback)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Store the checkpoints that wait for the end, however it came. The run stays open for a test or a next fit."""
        self._idle = True
        error = sys.exc_info()[1]
        # The client does not notice that a process ends by SIGTERM.
        self._exit_code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 0
        for callback in self._callbacks_to_store:
            self._log_checkpoints(callback)

    @rank_zero_only
    def _log_checkpoints(self, callback: "ModelCheckpoint") -> None:
        if self.experiment.disabled:
            return
        for written, path, score in written_checkpoints(callback):
            if self._logged_model_time.get(path) != written:
                self._store(callback, path, score)
                self._logged_model_time[path] = written

    def _store(self, callback: "ModelCheckpoint", path: str, score: Any) -> None:
        run, linked = self.experiment, self._add_file_policy is None
        aliases = ["latest", "best"] if path == callback.best_model_path else ["latest"]
        name = self._checkpoint_name or artifact_name(str(self.version))
        metadata = metadata_of(callback, path, score)
        artifact = require("wandb", "wandb").Artifact(name=name, type="model", metadata=metadata)
        place = kept(path, run_folder(run)) if linked else path
        add_model(artifact, place, self._add_file_policy)
        if run.offline:
            run.log_artifact(artifact, aliases=aliases)
        else:
            uploads = self._uploads or self._follow(run)
            uploads.send(Upload(artifact, aliases, place, linked))

    def _follow(self, run: "Run") -> Uploads:
        """Keep an eye on what goes to the server, to the run's end."""
        self._uploads = uploads = Uploads(run, partial(answers, run))
        when_finishing(run, partial(_before_finish, run, uploads), partial(self._after_finish, run, uploads))
        return uploads

    def _after_finish(self, run: "Run", uploads: Uploads) -> None:
        uploads.settled(patience=5.0)
        if getattr(run, "_finish_timed_out", False):
            rank_zero_warn(
                f"The W&B server at {run.settings.base_url} did not take the whole run within "
                f"{run.settings.finish_timeout:.0f} s. Nothing is lost: it is in {run_folder(run)}, `fulgurite ui` "
                f"shows it, `{sync_command(run)}` sends it. A higher finish_timeout waits longer."
            )
        elif self._sync_later:
            rank_zero_info(f"The run is in {run_folder(run)}; `{sync_command(run, self._id)}` sends it to the server.")
        warn_of_unsent(uploads, self._project)

    @staticmethod
    @rank_zero_only
    def download_artifact(
        artifact: str,
        save_dir: str | os.PathLike[str] | None = None,
        artifact_type: str | None = None,
        use_artifact: bool = True,
    ) -> str:
        """Download an artifact and return its folder; an open run records that it used it, if ``use_artifact``."""
        wandb = require("wandb", "wandb")
        if wandb.run is not None and use_artifact:
            found = wandb.run.use_artifact(artifact, type=artifact_type)
        else:
            found = wandb.Api().artifact(artifact, type=artifact_type)
        return found.download(root=None if save_dir is None else os.fspath(save_dir))

    def use_artifact(self, artifact: str, artifact_type: str | None = None) -> "Artifact":
        """Record that this run uses an artifact, and return it."""
        return self.experiment.use_artifact(artifact, type=artifact_type)


def _before_finish(run: "Run", uploads: Uploads) -> None:
    bound = getattr(run.settings, "finish_timeout", 0)
    if bounds_are_ours(run):
        # Models may take long on a slow line, so that their time is not bounded as long as the server is there.
        uploads.wait()
    elif bound > 0:
        uploads.settled(bound)
    else:
        return
    uploads.give_up()


def _finish_at_exit() -> None:
    """Let runs that are still open when the process ends go through the same end, before the client's own."""
    # What is registered last is called first, and the client may have been started anew.
    atexit.unregister(_finish_open_runs)
    atexit.register(_finish_open_runs, os.getpid())


def _finish_open_runs(process: int) -> None:
    for run, logger in list(_opened.items()) if process == os.getpid() else []:
        if not _is_finished(run):
            with suppress(Exception):
                run.finish(exit_code() or logger._exit_code)


def _named(settings: Any) -> set[str]:
    """The names of what was set in the client's settings."""
    return set(settings) if isinstance(settings, Mapping) else set(getattr(settings, "model_fields_set", ()))


def _note(run: "Run") -> None:
    """Let `fulgurite ui` find the run, wherever it is started. The run is recorded also if that can't be noted."""
    try:
        note_folder(os.path.dirname(run_folder(run)))
    except OSError as error:
        rank_zero_info(f"This run's folder can't be noted for `fulgurite ui` ({error}); name it there to see the run.")


def _is_finished(run: "Run") -> bool:
    return getattr(run, "_is_finished", False)


def _set_axis(run: "Run", axis: str) -> None:
    """Draw everything over the trainer's step, also what the user logs without one."""
    if getattr(run, "define_metric", None):
        run.define_metric(axis)
        run.define_metric("*", step_metric=axis, step_sync=True)


def _histogram(parameter: "Tensor") -> Any:
    """A histogram of the finite values, counted where they are; None if there are none."""
    values = parameter.detach().float()
    values = values[values.isfinite()]
    if not values.numel():
        return None
    low, high = values.min().item(), values.max().item()
    # One value alone has no width.
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    counts = values.histc(HISTOGRAM_BINS, low, high).tolist()
    edges = [low + (high - low) * i / HISTOGRAM_BINS for i in range(HISTOGRAM_BINS + 1)]
    return require("wandb", "wandb").Histogram(np_histogram=(counts, edges))


def _listed(media: Any) -> list[Any]:
    if not isinstance(media, list):
        raise TypeError(f"Expected a list, one entry per item to log, but got {type(media).__name__}.")
    return media


def _pixels(image: Any) -> Any:
    """A tensor image (C, H, W) or (H, W) as an array with the channels last, stretched to 0…255; others as they are.

    W&B would do the same, but only where torchvision is installed.
    """
    if not hasattr(image, "detach") or image.ndim not in (2, 3):
        return image
    pixels = image.detach().cpu()
    if pixels.is_floating_point():
        low, high = pixels.min(), pixels.max()
        pixels = ((pixels.float() - low) / (high - low).clamp(min=1e-5) * 255).round().byte()
    return pixels.numpy() if pixels.ndim == 2 else pixels.permute(1, 2, 0).numpy()
