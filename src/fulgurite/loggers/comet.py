"""Runs for Comet, online or in a file that is sent later."""

import os
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.optional import available, require
from fulgurite.base.rank import rank_zero_info, rank_zero_only
from fulgurite.core.logger import Logger, plain_number, plain_params, rank_zero_experiment
from fulgurite.loggers.markdown import markdown, shown
from fulgurite.track.writer.media import is_picture, listed, picture_of, rows_of
from fulgurite.track.writer.values import plain

if TYPE_CHECKING:
    from comet_ml import CometExperiment
    from torch import Tensor

    from fulgurite.core.module import LightningModule

MODES = (None, "get_or_create", "get", "create")


class CometLogger(Logger):
    """Log to Comet; with ``online=False`` to a file that ``comet upload`` sends.

    The experiment opens when it is first used, and ends with the process or with ``experiment.end()``; offline that is
    when the file is written. ``project`` and ``workspace`` say where it goes, ``experiment_key`` which it is; one that
    is known is continued, unless ``mode`` is "create". Where no API key is configured, it is recorded offline. Further
    arguments are those of ``comet_ml.ExperimentConfig``: ``name``, ``tags``, ``offline_directory``, ``log_code``, …
    """

    @checked
    def __init__(
        self,
        *,
        api_key: str | None = None,
        workspace: str | None = None,
        project: str | None = None,
        experiment_key: str | None = None,
        mode: Literal["get_or_create", "get", "create"] | None = None,
        online: bool | None = None,
        prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        if not available("comet_ml"):  # importing it takes a second, and can wait
            require("comet_ml", "comet")
        if mode not in MODES:
            raise MisconfigurationException(f"CometLogger(mode={mode!r}): expected one of {MODES}.")
        self._api_key, self._workspace, self._project = api_key, workspace, project
        self._experiment_key, self._mode, self._online, self._prefix = experiment_key, mode, online, prefix
        self._kwargs = kwargs
        self._experiment: CometExperiment | None = None
        self._step = 0

    @property
    def name(self) -> str | None:
        """The project's name, which names the folder of checkpoints; the experiment's own is in ``kwargs``."""
        return self._project

    @property
    def version(self) -> str | None:
        """The experiment's key; None until it is open if none was given."""
        return self._experiment_key

    @property
    def save_dir(self) -> str | None:
        """The folder of what is recorded offline, if one was given."""
        folder = self._kwargs.get("offline_directory")
        return None if folder is None else os.fspath(folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> "CometExperiment":
        """Comet's experiment. Opened at first use, and again under the same key if it was ended."""
        if self._experiment is None or getattr(self._experiment, "ended", False):
            self._experiment = self._opened()
            self._experiment_key = self._experiment.get_key()
        return self._experiment

    def _opened(self) -> "CometExperiment":
        comet = require("comet_ml", "comet")
        settings = dict(self._kwargs)
        if self.save_dir is not None:
            settings["offline_directory"] = self.save_dir
            os.makedirs(self.save_dir, exist_ok=True)
        online = self._online
        if online is None and not (self._api_key or comet.config.get_api_key(None, comet.get_config())):
            rank_zero_info(
                "No Comet API key is configured: this run is recorded offline, and `comet upload` sends the file. "
                "CometLogger(online=True) or `comet login` asks for a key."
            )
            online = False
        return comet.start(
            api_key=self._api_key,
            workspace=self._workspace,
            project=self._project,
            experiment_key=self._experiment_key,
            mode=self._mode,
            online=online,
            experiment_config=comet.ExperimentConfig(**settings),
        )

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one row; ``epoch`` becomes Comet's own, and ``prefix`` with a ``_`` stands before the other names."""
        self._step = step = self._step + 1 if step is None else step
        row = {name: plain_number(value) for name, value in metrics.items()}
        epoch = row.pop("epoch", None)
        epoch = None if epoch is None else int(epoch)
        self.experiment.log_metrics(row, prefix=self._prefix, step=step, epoch=epoch)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.experiment.log_parameters(plain_params(params), nested_support=True)

    @rank_zero_only
    def log_graph(self, model: "LightningModule", input_array: "Tensor | None" = None) -> None:
        """Keep the model's modules as text."""
        self.experiment.set_model_graph(str(model), overwrite=True)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        """Log pictures as ``key``, or ``key/0``, ``key/1``, … if there are several; ``caption`` is kept with each."""
        items = listed("picture", images, kwargs, ("caption",))
        for number, (image, entry) in enumerate(items):
            name = self._named(key) if len(items) == 1 else f"{self._named(key)}/{number}"
            metadata = {"caption": str(entry["caption"])} if entry.get("caption") is not None else None
            at = self._step if step is None else step
            self.experiment.log_image(picture_of(image), name=name, step=at, metadata=metadata)

    @rank_zero_only
    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table as the file ``key_step.csv``; pictures in it are told by their size."""
        names, rows = rows_of(columns, data, dataframe)
        cells = [[shown(cell) if is_picture(cell) else plain(cell) for cell in row] for row in rows]
        file = f"{self._named(key)}_{self._step if step is None else step}.csv"
        self.experiment.log_table(file, tabular_data=cells, headers=names)

    @rank_zero_only
    def log_text(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log text, of several columns as a table in Markdown; ``key`` is kept with it."""
        text = markdown(*rows_of(columns, data, dataframe))
        at = self._step if step is None else step
        self.experiment.log_text(text, step=at, metadata={"key": self._named(key)})

    def _named(self, key: str) -> str:
        return f"{self._prefix}_{key}" if self._prefix else key

    @rank_zero_only
    def save(self) -> None:
        """Nothing: the client sends in a thread of its own, and waiting for it would hold the training up."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Wait until what was logged is sent or written. The experiment stays open for a test or a next fit."""
        if self._experiment is not None and not getattr(self._experiment, "ended", False):
            self._experiment.log_other("status", status)
            self._experiment.flush()

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process goes on with the same experiment: it is told the key.
        self._experiment_key = self._experiment_key or secrets.token_hex(16)
        return {**self.__dict__, "_experiment": None}
