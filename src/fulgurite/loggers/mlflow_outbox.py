"""What a run has for an MLflow server, on its way there: sent by a thread, kept in a file while nobody answers."""

import atexit
import base64
import io
import json
import os
import socket
import threading
import time
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from fulgurite.base.optional import available, require
from fulgurite.base.paths import atomic_write
from fulgurite.base.rank import rank_zero_info, rank_zero_warn, warn_once

GATHER = 1.0  # seconds: one request holds what a second brings
RETRY = 10.0  # seconds between two looks whether a server that was down answers again
SILENCE = 60.0  # seconds without any progress after which the end of a run waits no longer
CONNECT = 5.0  # seconds for the server to take a connection
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
MOST = {"metrics": 1000, "params": 100}  # that MLflow takes in one request

Item = tuple[str, Any]
"""What is to be done, and with what. Plain values only, since a file may have to hold them."""


class Unreachable(Exception):
    """The server does not answer, or not now."""


@dataclass
class Identity:
    """What makes a run on a server; the first line of a kept file."""

    tracking_uri: str
    experiment_name: str
    run_name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    artifact_location: str | None = None
    run_id: str | None = None

    def open(self) -> tuple[Any, str]:
        """A client and the id of the run, which is made if it has none yet. Raises ``Unreachable``."""
        if not answers(self.tracking_uri):
            raise Unreachable(f"nobody answers at {self.tracking_uri}")
        try:
            with few_retries():
                client = require("mlflow", "mlflow").MlflowClient(self.tracking_uri)
                if self.run_id is None:
                    self.run_id = self._new_run(client)
                else:
                    client.get_run(self.run_id)
        except Exception as error:
            if passing(error):
                raise Unreachable(_said(error)) from error
            raise
        return client, self.run_id

    def _new_run(self, client: Any) -> str:
        resolve_tags = require("mlflow.tracking.context.registry", "mlflow").resolve_tags
        return client.create_run(
            self._experiment(client), tags=resolve_tags(self.tags), run_name=self.run_name
        ).info.run_id

    def _experiment(self, client: Any) -> str:
        found = client.get_experiment_by_name(self.experiment_name)
        if found is None:
            with suppress(require("mlflow.exceptions", "mlflow").MlflowException):
                return client.create_experiment(self.experiment_name, artifact_location=self.artifact_location)
            # Another run was quicker; what else went wrong, goes wrong again.
            found = client.get_experiment_by_name(self.experiment_name)
            if found is None:
                return client.create_experiment(self.experiment_name, artifact_location=self.artifact_location)
        return found.experiment_id


class Outbox:
    """Hands items to the server in their order. Nobody waits for it but who calls ``opened`` or ``flush``.

    While the server does not answer, items go to the file ``kept``; when it does again, they go to it from there.
    """

    def __init__(self, identity: Identity, kept: Path) -> None:
        self.identity, self.kept = identity, kept
        self.client: Any = None
        self._problem: Exception | None = None
        self._waiting: list[Item] = []
        self._sending: deque[Item] = deque()
        self._changed = threading.Condition()
        self._hurry = self._known = self._down = self._closed = False
        self._progress = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._thread.start()
        self._end = partial(self._at_exit, os.getpid())
        atexit.register(self._end)

    def opened(self, patience: float) -> bool:
        """Whether the run is there, within ``patience`` seconds. Raises what the server says against it."""
        with self._changed:
            self._changed.wait_for(lambda: self._known, patience)
            if self._problem is not None:
                self._closed = True
                raise self._problem
            return self.client is not None

    def put(self, kind: str, content: Any) -> None:
        """Send this, soon."""
        with self._changed:
            self._waiting.append((kind, content))
            if len(self._waiting) == 1:
                self._changed.notify_all()

    def wake(self) -> None:
        """Send what is there now rather than soon."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()

    def flush(self) -> bool:
        """Return once everything is sent, or is in the file because the server does not take it."""
        self.wake()
        with self._changed:
            self._progress = time.monotonic()
            while self._waiting or self._sending:
                self._changed.wait(0.5)
                there = answers(self.identity.tracking_uri)
                if there and self._uploading():
                    self._progress = time.monotonic()
                late = time.monotonic() - self._progress > SILENCE
                if (self._waiting or self._sending) and (late or not there or not self._thread.is_alive()):
                    # What is on its way may be sent twice: a metric of the same step, time and value is the same one.
                    left = [*self._sending, *self._waiting]
                    self._sending.clear()
                    self._waiting = []
                    self._keep(left, "it did not take it in time" if there else "nobody answers")
        return not self.kept.exists()

    def close(self) -> None:
        """Let the thread end. What is in the file stays there."""
        with self._changed:
            self._closed = self._hurry = True
            self._changed.notify_all()
        atexit.unregister(self._end)

    def _uploading(self) -> bool:
        return any(kind == "file" for kind, _ in self._sending)

    def _at_exit(self, process: int) -> None:
        if process == os.getpid() and not self.flush():
            warn_once(way_out(self.kept))

    def _run(self) -> None:
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._hurry or not self._known, RETRY)
                if self._known:
                    self._changed.wait_for(lambda: self._hurry, GATHER if self._waiting else 0)
                self._hurry = False
                self._sending, self._waiting = deque(gathered(self._waiting)), []
            try:
                self._deliver()
            except Unreachable as error:
                with self._changed:
                    self._keep(list(self._sending), str(error))
            except Exception as error:
                self._closed, self._problem = True, error
            with self._changed:
                self._known = True
                self._sending.clear()
                self._moved()

    def _deliver(self) -> None:
        if self.client is None:
            client, _ = self.identity.open()
            if self.kept.exists():
                relabel(self.kept, self.identity)
            self.client = client
        elif (self._sending or self.kept.exists()) and not answers(self.identity.tracking_uri):
            raise Unreachable(f"nobody answers at {self.identity.tracking_uri}")
        if self.kept.exists():
            send_file(self.client, self.identity, self.kept)
        if self._down:
            self._down = False
            rank_zero_info(f"The MLflow server at {self.identity.tracking_uri} answers again; all is sent.")
        while self._sending:
            send(self.client, str(self.identity.run_id), self._sending[0])
            with self._changed:
                if self._sending:
                    self._sending.popleft()
                self._moved()

    def _moved(self) -> None:
        self._progress = time.monotonic()
        self._changed.notify_all()

    def _keep(self, items: list[Item], reason: str) -> None:
        if not self._down:
            self._down = True
            rank_zero_warn(
                f"The MLflow server does not take the run: {reason}. Training goes on; what is logged is kept in "
                f"{self.kept} and sent from there when the server is back."
            )
        if items:
            append(self.kept, self.identity, items)


def send(client: Any, run_id: str, item: Item) -> None:
    """Hand an item to the server. Raises ``Unreachable``; what the server refuses is told and left out."""
    kind, content = item
    try:
        with few_retries():
            DEEDS[kind](client, run_id, content)
    except Exception as error:
        if passing(error):
            raise Unreachable(_said(error)) from error
        rank_zero_warn(f"MLflow refused {_told(kind, content)}: {_said(error)}")


def gathered(items: Iterable[Item]) -> Iterator[Item]:
    """The items, with neighbours of one kind put together as far as one request may hold them."""
    for kind, neighbours in groupby(items, key=lambda item: item[0]):
        if kind not in MOST:
            yield from neighbours
            continue
        together = [value for _, content in neighbours for value in content]
        for start in range(0, len(together), MOST[kind]):
            yield kind, together[start : start + MOST[kind]]


def append(path: Path, identity: Identity, items: Iterable[Item]) -> None:
    """Add the items to a kept file; its first line says whose they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [] if path.exists() else [vars(identity)]
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in [*lines, *items])
        file.flush()
        os.fsync(file.fileno())


def relabel(path: Path, identity: Identity, items: Iterable[Item] | None = None) -> None:
    """Write a kept file anew, with another first line or with other items."""
    left = list(items_in(path)) if items is None else items
    with atomic_write(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(each) + "\n" for each in [vars(identity), *left])


def send_file(client: Any, identity: Identity, path: Path) -> None:
    """Send a kept file's items and remove it. Raises ``Unreachable``, and then the file holds what is left."""
    size = path.stat().st_size
    items = deque(gathered(items_in(path)))
    try:
        while items:
            send(client, str(identity.run_id), items[0])
            items.popleft()
    except Unreachable:
        relabel(path, identity, [*items, *items_in(path, after=size)])
        raise
    # The end of a run may have added to it meanwhile.
    later = list(items_in(path, after=size))
    if later:
        relabel(path, identity, later)
    else:
        path.unlink()


def items_in(path: Path, after: int = 0) -> Iterator[Item]:
    """The items of a kept file, from its byte ``after`` on; a last line that was cut short is none."""
    with open(path, "rb") as file:
        if after:
            file.seek(after)
        else:
            file.readline()
        for line in file:
            with suppress(json.JSONDecodeError):
                kind, content = json.loads(line)
                yield kind, content


def identity_in(path: Path) -> Identity:
    """The run that a kept file belongs to."""
    with open(path, encoding="utf-8") as file:
        return Identity(**json.loads(next(file)))


def answers(uri: str) -> bool:
    """Whether somebody takes a connection at ``uri``; a store without a server is always there."""
    parts = urllib.parse.urlsplit(uri)
    host = parts.hostname or ""
    # Behind a proxy only a request can tell.
    proxied = parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)
    if parts.scheme not in ("http", "https") or proxied:
        return True
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), timeout=CONNECT).close()
    except OSError:
        return False
    return True


@contextmanager
def few_retries() -> Iterator[None]:
    """Let the client give a request up after seconds, unless the user has said when.

    It goes on for four minutes by itself, in which what is logged would only be in memory; and it can be told by its
    environment alone.
    """
    if RETRIES in os.environ:
        yield
        return
    os.environ[RETRIES] = "2"
    try:
        yield
    finally:
        os.environ.pop(RETRIES, None)


def passing(error: BaseException | None) -> bool:
    """Whether the same request may work later: no connection, no answer in time, a server in trouble."""
    requests = require("requests", "mlflow").exceptions
    lost = (requests.ConnectionError, requests.Timeout, requests.RetryError, ConnectionError, TimeoutError)
    seen = error
    while seen is not None:
        if isinstance(seen, lost):
            return True
        seen = seen.__cause__ or seen.__context__
    status = getattr(error, "get_http_status_code", lambda: 0)()
    text = str(error)
    return status in (429, 502, 503, 504) or "API request to" in text and "failed with exception" in text


def _metrics(client: Any, run_id: str, values: list[list[Any]]) -> None:
    kind = require("mlflow.entities", "mlflow").Metric
    client.log_batch(run_id, metrics=[kind(key, value, timestamp, step) for key, value, timestamp, step in values])


def _params(client: Any, run_id: str, values: list[list[str]]) -> None:
    """Together if the server takes them; else one by one, so that one bad one costs no other."""
    kind = require("mlflow.entities", "mlflow").Param
    try:
        client.log_batch(run_id, params=[kind(key, value) for key, value in values])
        return
    except Exception as error:
        if passing(error):
            raise
    for key, value in values:
        try:
            client.log_batch(run_id, params=[kind(key, value)])
        except Exception as error:
            if passing(error):
                raise
            rank_zero_warn(f"MLflow refused the hyperparameter {key}={value}: {_said(error)}")


def _status(client: Any, run_id: str, status: str) -> None:
    client.set_terminated(run_id, status)


def _file(client: Any, run_id: str, content: dict[str, Any]) -> None:
    """Upload a file. One that was lent, a second name for the content, is removed with its folder."""
    client.log_artifact(run_id, content["path"], content["folder"])
    if content.get("lent"):
        path = Path(content["path"])
        path.unlink(missing_ok=True)
        for folder in path.parents[:3]:
            with suppress(OSError):  # others still wait in it
                folder.rmdir()


def _image(client: Any, run_id: str, content: dict[str, Any]) -> None:
    picture = require("PIL.Image", "mlflow").open(io.BytesIO(base64.b64decode(content["png"])))
    client.log_image(run_id, picture, key=content["key"], step=content["step"], timestamp=content["timestamp"])


def _table(client: Any, run_id: str, content: dict[str, Any]) -> None:
    if available("pandas"):
        columns = zip(*content["data"], strict=True) if content["data"] else [()] * len(content["columns"])
        data = {name: list(values) for name, values in zip(content["columns"], columns, strict=True)}
        client.log_table(run_id, data, content["file"])
    else:
        # What the client writes, too.
        client.log_dict(run_id, {"columns": content["columns"], "data": content["data"]}, content["file"])


def _text(client: Any, run_id: str, content: dict[str, Any]) -> None:
    client.log_text(run_id, content["text"], content["file"])


DEEDS: dict[str, Callable[[Any, str, Any], None]] = {
    "metrics": _metrics,
    "params": _params,
    "status": _status,
    "file": _file,
    "image": _image,
    "table": _table,
    "text": _text,
}


def _told(kind: str, content: Any) -> str:
    if kind == "metrics":
        return f"the metrics {', '.join(sorted({key for key, *_ in content}))}"
    if isinstance(content, dict):
        return f"the {kind} {content.get('path') or content.get('file') or content.get('key')}"
    return f"the {kind} {content}"


def _said(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:300]


def way_out(path: Path) -> str:
    """How what is kept gets to the server."""
    return f"A part of the run is in {path}, not on the MLflow server. MLFlowLogger.send_kept({str(path)!r}) sends it."
