"""Runs for MLflow: metrics, hyperparameters, checkpoints, pictures and tables, sent while the training goes on."""

import base64
import io
import os
import re
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.optional import available, require
from fulgurite.base.rank import rank_zero_only, rank_zero_warn, warn_once
from fulgurite.core.logger import Logger, flatten, plain_number, plain_params, prefixed, rank_zero_experiment
from fulgurite.loggers.checkpoints import lent, metadata_of, written_checkpoints
from fulgurite.loggers.markdown import markdown, shown
from fulgurite.loggers.mlflow_outbox import Identity, Outbox, identity_in, send_file, way_out
from fulgurite.track.writer.media import is_picture, listed, picture_of, rows_of
from fulgurite.track.writer.values import plain

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint

PATIENCE = 30.0  # seconds for the server to make the run
LONGEST = 6000  # characters of a hyperparameter that MLflow takes
STRANGE = re.compile(r"[^\w/. -]+", re.ASCII)


class MLFlowLogger(Logger):
    """Log to an MLflow server at ``tracking_uri`` ($MLFLOW_TRACKING_URI), else to ``save_dir/mlflow.db``.

    A thread sends what was logged, once a second and at epoch ends, so that the training does not wait; at the end it
    waits for all to arrive. ``synchronous=True`` waits at every call. While the server does not answer, rows and files
    are kept in a file in ``save_dir`` and sent from there when it does; ``send_kept`` sends what is left at the end.

    The run is made in ``experiment_name`` when it is first used, or continued if ``run_id`` is given. ``log_model``:
    "all" stores every checkpoint as an artifact when it is written, True those that are left at the end. MLflow keeps
    the first value of a hyperparameter.
    """

    LOGGER_JOIN_CHAR = "-"

    @checked
    def __init__(
        self,
        experiment_name: str = "lightning_logs",
        run_name: str | None = None,
        tracking_uri: str | None = None,
        tags: Mapping[str, Any] | None = None,
        save_dir: str | os.PathLike[str] | None = "./mlruns",
        log_model: Literal["all"] | bool = False,
        prefix: str = "",
        artifact_location: str | None = None,
        run_id: str | None = None,
        synchronous: bool | None = None,
    ) -> None:
        if not available("mlflow"):  # importing it takes more than a second, and can wait
            require("mlflow", "mlflow")
        if log_model not in (True, False, "all"):
            raise MisconfigurationException(f'log_model={log_model!r} must be True, False or "all".')
        folder = Path(os.path.expanduser(save_dir or "./mlruns"))
        given = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        self._save_dir = None if given else str(folder)
        self._folder = folder
        if not given:
            given = f"sqlite:///{folder.absolute() / 'mlflow.db'}"
            artifact_location = artifact_location or (folder.absolute() / "artifacts").as_uri()
        named = {"mlflow.runName": run_name} if run_name else {}
        known = {str(name): str(value) for name, value in {**(tags or {}), **named}.items()}
        self._identity = Identity(given, experiment_name, run_name, known, artifact_location, run_id)
        self._log_model, self._prefix, self._synchronous = log_model, prefix, synchronous
        self._version = run_id
        self._outbox: Outbox | None = None
        self._step = 0
        self._names: dict[str, str] = {}
        self._sent_params: dict[str, str] = {}
        self._checkpoints: list[ModelCheckpoint] = []
        self._stored: dict[str, float] = {}

    @property
    def name(self) -> str:
        """The experiment's name."""
        return self._identity.experiment_name

    @property
    def version(self) -> str | None:
        """The run's id; None until it is open. A name of its own if the server was not there then."""
        return self._version

    @property
    def run_id(self) -> str | None:
        """The run's id on the server; None as long as the server has not given it one."""
        return self._identity.run_id

    @property
    def experiment_id(self) -> str | None:
        """The experiment's id on the server."""
        client = self.experiment
        found = client.get_experiment_by_name(self._identity.experiment_name)
        return None if found is None else found.experiment_id

    @property
    def save_dir(self) -> str | None:
        """The folder of the store; None where there is a server."""
        return self._save_dir

    @property
    @rank_zero_experiment
    def experiment(self) -> "MlflowClient":
        """MLflow's client. The first use makes the run, or opens the one with ``run_id``."""
        outbox = self._open()
        return outbox.client or require("mlflow", "mlflow").MlflowClient(self._identity.tracking_uri)

    def _open(self) -> Outbox:
        if self._outbox is None:
            if self._save_dir is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            kept = self._folder / f"unsent-{self._identity.run_id or secrets.token_hex(8)}.jsonl"
            outbox = Outbox(self._identity, kept)
            outbox.opened(PATIENCE)
            self._outbox = outbox
            self._version = self._version or self._identity.run_id or kept.stem
        return self._outbox

    def _put(self, kind: str, content: Any) -> None:
        outbox = self._open()
        outbox.put(kind, content)
        if self._synchronous:
            outbox.flush()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one row; without ``step`` it is one more than the last."""
        self._step = step = self._step + 1 if step is None else step
        now = time.time_ns() // 1_000_000
        values = []
        for name, value in prefixed(metrics, self._prefix, self.LOGGER_JOIN_CHAR).items():
            number = plain_number(value)
            if isinstance(number, str):
                warn_once(f"MLflow takes numbers only: {name}={number!r} is left out. Log text with log_text.")
                continue
            values.append([self._names.get(name) or self._allowed(name), float(number), now, step])
        self._put("metrics", values)

    def _allowed(self, name: str) -> str:
        """The name without characters that MLflow refuses."""
        allowed = STRANGE.sub("", name)
        if allowed != name:
            warn_once(f"MLflow takes letters, digits and _ / . - in names: {name!r} is logged as {allowed!r}.")
        self._names[name] = allowed
        return allowed

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Record hyperparameters, nested ones as ``a/b``. What was sent before is not sent again."""
        flat = flatten(plain_params(params))
        values = {self._allowed(name): str(value)[:LONGEST] for name, value in flat.items()}
        for name, value in values.items():
            if self._sent_params.setdefault(name, value) != value:
                warn_once(f"MLflow keeps the first value of a hyperparameter: {name} stays {self._sent_params[name]}.")
        news = [[name, value] for name, value in values.items() if self._sent_params[name] == value]
        self._put("params", news)

    @rank_zero_only
    def log_image(self, key: str, images: list[Any], step: int | None = None, **kwargs: list[Any]) -> None:
        """Log pictures as ``key``, or ``key/0``, ``key/1``, … if there are several; ``caption`` as a text beside."""
        step, key, now = self._step if step is None else step, self._keyed(key), time.time_ns() // 1_000_000
        items = listed("picture", images, kwargs, ("caption",))
        for number, (image, _) in enumerate(items):
            buffer = io.BytesIO()
            picture_of(image).save(buffer, format="PNG")
            name = key if len(items) == 1 else f"{key}/{number}"
            png = base64.b64encode(buffer.getvalue()).decode()
            self._put("image", {"key": name, "step": step, "timestamp": now, "png": png})
        if "caption" in kwargs:
            rows = [[number, entry["caption"]] for number, (_, entry) in enumerate(items)]
            text = markdown(["picture", "caption"], rows)
            self._put("text", {"text": text, "file": f"captions/{key}/{step}.md"})

    @rank_zero_only
    def log_table(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log a table as the artifact ``tables/key/step.json``; pictures in it are told by their size."""
        names, rows = rows_of(columns, data, dataframe)
        cells = [[shown(cell) if is_picture(cell) else plain(cell) for cell in row] for row in rows]
        file = f"tables/{self._keyed(key)}/{self._step if step is None else step}.json"
        self._put("table", {"columns": names, "data": cells, "file": file})

    @rank_zero_only
    def log_text(
        self,
        key: str,
        columns: list[str] | None = None,
        data: Any = None,
        dataframe: Any = None,
        step: int | None = None,
    ) -> None:
        """Log text as the artifact ``texts/key/step.md``."""
        text = markdown(*rows_of(columns, data, dataframe))
        file = f"texts/{self._keyed(key)}/{self._step if step is None else step}.md"
        self._put("text", {"text": text, "file": file})

    def _keyed(self, key: str) -> str:
        return self._allowed(f"{self._prefix}{self.LOGGER_JOIN_CHAR}{key}" if self._prefix else key)

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: "ModelCheckpoint") -> None:
        if self._log_model == "all" or (self._log_model is True and checkpoint_callback.save_top_k == -1):
            self._store_checkpoints(checkpoint_callback)
        elif self._log_model is True and checkpoint_callback not in self._checkpoints:
            self._checkpoints.append(checkpoint_callback)

    def _store_checkpoints(self, callback: "ModelCheckpoint") -> None:
        """Send each file in a folder of its name, with what Lightning puts beside it."""
        import yaml  # late: only a checkpoint that is sent needs it

        for written, path, score in written_checkpoints(callback):
            if self._stored.get(path) == written:
                continue
            self._stored[path] = written
            folder, aliases = Path(path).stem, ["latest", "best"] if path == callback.best_model_path else ["latest"]
            metadata = metadata_of(callback, path, score)
            metadata["Checkpoint"] = metadata.pop(type(callback).__name__)
            try:
                place = lent(path, self._folder / ".sending")
            except OSError as error:
                rank_zero_warn(f"{path} is not stored in MLflow, since nothing can hold it until it is sent ({error}).")
                continue
            self._put("file", {"path": place, "folder": folder, "lent": True})
            self._put("text", {"text": yaml.safe_dump(metadata), "file": f"{folder}/metadata.yaml"})
            self._put("text", {"text": str(aliases), "file": f"{folder}/aliases.txt"})

    @rank_zero_only
    def save(self) -> None:
        """Send what waits. The training goes on meanwhile."""
        if self._outbox is not None:
            self._outbox.wake()

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """Store the checkpoints that wait for the end, note how the run ended, and wait until all is sent or kept."""
        if self._outbox is None:
            return
        for callback in self._checkpoints:
            self._store_checkpoints(callback)
        self._outbox.put("status", _ending(status, sys.exc_info()[1]))
        if self._outbox.flush():
            self._outbox.close()
            self._outbox = None
        else:
            warn_once(way_out(self._outbox.kept))

    @staticmethod
    def send_kept(path: str | os.PathLike[str], tracking_uri: str | None = None) -> str:
        """Send a run, or the rest of one, that a server did not take, and return the run's id. The file is removed.

        ``tracking_uri`` is the server that was meant, if no other is given.
        """
        identity = identity_in(Path(path))
        identity.tracking_uri = tracking_uri or identity.tracking_uri
        client, run_id = identity.open()
        send_file(client, identity, Path(path))
        return run_id

    def __getstate__(self) -> dict[str, Any]:
        # A copy in another process goes on with the same run, and sends what it logs itself.
        return {**self.__dict__, "_outbox": None, "_checkpoints": [], "_stored": {}}


def _ending(status: str, error: BaseException | None) -> str:
    if status in ("success", "finished"):
        return "FINISHED"
    return "KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED"
