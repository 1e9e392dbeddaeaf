"""Runs as Weights & Biases knows them: metrics, hyperparameters, media and model artifacts, online or offline."""

import netrc
import os
import re
import secrets
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.optional import require
from fulgurite.base.rank import rank_zero_deprecation, rank_zero_info, rank_zero_only
from fulgurite.core.logger import Logger, plain_params, prefixed, rank_zero_experiment

if TYPE_CHECKING:
    from torch import Tensor, nn
    from wandb import Artifact
    from wandb.sdk.wandb_run import Run

    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint

# Runs that loggers of this process have opened. Any other run that is open was opened by the user, who means it.
_opened: "weakref.WeakKeyDictionary[Any, WandbLogger]" = weakref.WeakKeyDictionary()

HISTOGRAM_BINS = 64
RECORDED_SETTINGS = ("monitor", "mode", "save_last", "save_top_k", "save_weights_only", "_every_n_train_steps")


class WandbLogger(Logger):
    """Log to W&B. The run opens at the first use of ``experiment``; ``wandb.finish()`` closes it.

    ``name`` is the run's name, ``project`` its project ($WANDB_PROJECT or "lightning_logs"), ``version`` or ``id`` its
    id; a run that is known under that id is continued. Further arguments go to ``wandb.init``. Where no account is
    configured, the run is recorded offline. A run that the script has opened is used; else each logger opens its own.

    ``log_model``: "all" stores every checkpoint as an artifact when it is written, True the kept ones at the end.
    ``add_file_policy="immutable"`` saves a copy where checkpoints are never overwritten or deleted.
    """

    LOGGER_JOIN_CHAR = "-"

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
        add_file_policy: Literal["mutable", "immutable"] = "mutable",
        **wandb_init_kwargs: Any,
    ) -> None:
        require("wandb", "wandb")
        if log_model not in (True, False, "all"):
            raise MisconfigurationException(f'log_model={log_model!r} must be True, False or "all".')
        if add_file_policy not in ("mutable", "immutable"):
            raise MisconfigurationException(f'add_file_policy={add_file_policy!r} must be "mutable" or "immutable".')
        if anonymous is not None:
            rank_zero_deprecation("WandbLogger(anonymous=...) has no effect any more: W&B has no anonymous runs.")
        self._prefix = prefix
        self._offline = offline
        self._log_model = log_model
        self._experiment = experiment
        self._add_file_policy = add_file_policy
        self._checkpoint_name = checkpoint_name
        self._checkpoint_callback: ModelCheckpoint | None = None
        self._logged_model_time: dict[str, float] = {}
        self._watched: weakref.ref[nn.Module] | None = None
        self._attach_id: str | None = None
        self._copied = False
        self._idle = False
        self._project = project or os.environ.get("WANDB_PROJECT", "lightning_logs")
        self._save_dir = os.fspath(save_dir or dir or ".")
        run_id = id if version is None else version
        self._id = None if run_id is None else str(run_id)
        self._wandb_init = {"name": None if name is None else str(name), **wandb_init_kwargs}

    @property
    def name(self) -> str | None:
        """The project's name, which names the folder of checkpoints; the run's own is ``experiment.name``."""
        return self._project

    @property
    def version(self) -> str | None:
        """The run's id; None until the run is open if none was given."""
        return self._experiment.id if self._experiment is not None else self._id

    @property
    def save_dir(self) -> str:
        return self._save_dir

    @property
    @rank_zero_experiment
    def experiment(self) -> "Run":
        """The W&B run. Opened at first use, and again under the same id if it was finished and logging goes on."""
        if self._experiment is None or (self._experiment in _opened and _is_finished(self._experiment)):
            self._experiment = self._attached() or self._users_own() or self._newly_opened()
            self._id = self._experiment.id
            _set_axis(self._experiment, self._axis)
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
        return run

    def _newly_opened(self) -> "Run":
        wandb = require("wandb", "wandb")
        os.makedirs(self._save_dir, exist_ok=True)
        settings: dict[str, Any] = {"resume": "allow", **self._reinit(), **self._mode(wandb), **self._wandb_init}
        # The client's background process has its own working folder: it is told the whole path.
        try:
            run = wandb.init(project=self._project, dir=os.path.abspath(self._save_dir), id=self._id, **settings)
        except Exception:
            if not self._copied:
                raise
            # A copy of this logger in another process was faster.
            run = wandb._attach(self._id)
        _opened[run] = self
        return run

    def _reinit(self) -> dict[str, str]:
        """How ``wandb.init`` shall deal with runs of other loggers that are open."""
        others = [logger for run, logger in _opened.items() if not _is_finished(run)]
        if not others:
            return {}
        # Loggers whose trainer is done make way, so that `wandb.run` is the new run; others log on beside it.
        return {"reinit": "finish_previous" if all(logger._idle for logger in others) else "create_new"}

    def _mode(self, wandb: ModuleType) -> dict[str, str]:
        if {"mode", "settings"} & self._wandb_init.keys():
            return {}
        if self._offline:
            return {"mode": "offline"}
        if "WANDB_MODE" in os.environ:
            # The client reads its environment once per process; the variable may be younger.
            return {"mode": os.environ["WANDB_MODE"]}
        if "WANDB_BASE_URL" in os.environ or _has_account(wandb):
            return {}
        rank_zero_info(
            f"No W&B account is configured: this run is recorded offline in {Path(self._save_dir, 'wandb')}. "
            "`wandb login` sends later runs to the server, `wandb sync` this one."
        )
        return {"mode": "offline"}

    @property
    def _axis(self) -> str:
        return "global_step" if self._wandb_init.get("sync_tensorboard") else "trainer/global_step"

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process continues the same run: it is told the id, and where the open run is to be found.
        self._id = self.version or secrets.token_hex(4)
        self._copied = True
        state = self.__dict__.copy()
        state["_attach_id"] = getattr(self._experiment, "_attach_id", None) or self._attach_id
        state["_experiment"] = state["_watched"] = None
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
        """Log a table from ``columns`` and ``data`` or from a data frame; cells may be text, numbers or W&B media."""
        wandb = require("wandb", "wandb")
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
        elif self._log_model is True:
            self._checkpoint_callback = checkpoint_callback

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Store the checkpoints that wait for the end, however it came. The run stays open for a test or a next fit."""
        self._idle = True
        if self._checkpoint_callback is not None:
            self._log_checkpoints(self._checkpoint_callback)

    @rank_zero_only
    def _log_checkpoints(self, callback: "ModelCheckpoint") -> None:
        for written, path, score in _written_checkpoints(callback):
            if self._logged_model_time.get(path) == written:
                continue
            best = path == callback.best_model_path
            artifact = self._model_artifact(callback, path, score)
            self.experiment.log_artifact(artifact, aliases=["latest", "best"] if best else ["latest"])
            self._logged_model_time[path] = written

    def _model_artifact(self, callback: "ModelCheckpoint", path: str, score: Any) -> "Artifact":
        metadata = {
            "score": score.item() if hasattr(score, "item") else score,
            "original_filename": Path(path).name,
            type(callback).__name__: {k: getattr(callback, k) for k in RECORDED_SETTINGS if hasattr(callback, k)},
        }
        # Ids may hold characters that an artifact's name may not.
        name = self._checkpoint_name or re.sub(r"[^\w.-]", "_", f"model-{self.experiment.id}")
        artifact = require("wandb", "wandb").Artifact(name=name, type="model", metadata=metadata)
        if os.path.isdir(path):
            artifact.add_dir(path, name="model.ckpt", policy=self._add_file_policy)
        else:
            artifact.add_file(path, name="model.ckpt", policy=self._add_file_policy)
        return artifact

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


def _is_finished(run: "Run") -> bool:
    return getattr(run, "_is_finished", False)


def _set_axis(run: "Run", axis: str) -> None:
    """Draw everything over the trainer's step, also what the user logs without one."""
    if getattr(run, "define_metric", None):
        run.define_metric(axis)
        run.define_metric("*", step_metric=axis, step_sync=True)


def _has_account(wandb: ModuleType) -> bool:
    """Whether W&B can find a key or a mode of its own, without asking anybody and without the network."""
    settings = wandb.setup().settings
    if settings.api_key or settings.mode != "online" or getattr(settings, "identity_token_file", None):
        return True
    if _key_in_netrc(settings.base_url):
        return True
    try:
        return bool(wandb.login(prompt=False))
    except TypeError:
        return False  # older clients would ask
    except wandb.errors.Error:
        return True  # there is a key; what is wrong with it shall be said by W&B


def _key_in_netrc(base_url: str) -> bool:
    candidates = [os.environ.get("NETRC"), "~/.netrc", "~/_netrc"]
    for path in [os.path.expanduser(each) for each in candidates if each]:
        try:
            if netrc.netrc(path).authenticators(urlsplit(base_url).hostname or base_url):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


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


def _written_checkpoints(callback: "ModelCheckpoint") -> Sequence[tuple[float, str, Any]]:
    """(time, path, score) of the checkpoints that a callback holds and that are still there, the oldest first."""
    scores: dict[str, Any] = dict(getattr(callback, "best_k_models", {}))
    scores[callback.best_model_path] = callback.best_model_score
    scores.setdefault(getattr(callback, "last_model_path", ""), getattr(callback, "current_score", None))
    there = [(str(path), score) for path, score in scores.items() if path and os.path.exists(path)]
    return sorted(((os.path.getmtime(path), path, score) for path, score in there), key=lambda each: each[:2])
