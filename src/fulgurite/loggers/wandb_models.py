"""Checkpoints as W&B's model artifacts: which are stored, what holds them until they are sent, and the sending."""

import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

from fulgurite.base.optional import require
from fulgurite.base.rank import rank_zero_warn

if TYPE_CHECKING:
    from wandb import Artifact
    from wandb.sdk.wandb_run import Run

FOLDER = "models"
"""Beside the run's own files: what waits to be sent."""
SILENCE = 30.0
"""Seconds after which a server that does not answer keeps nobody waiting for an upload."""
PAUSE = 2.0
"""Seconds between two looks for a server that does not answer."""

Policy = Literal["mutable", "immutable"]


def add_model(artifact: "Artifact", content: str, policy: Policy | None) -> None:
    """Add the file or folder ``content`` as ``model.ckpt``.

    Without a ``policy`` it is neither copied now nor into the client's cache when it is sent.
    """
    add = artifact.add_dir if os.path.isdir(content) else artifact.add_file
    how: dict[str, Any] = {"policy": policy} if policy else {"policy": "immutable", "skip_cache": True}
    add(content, name="model.ckpt", **how)


def artifact_name(run_id: str) -> str:
    """The name of a run's models. Ids may hold characters that an artifact's name may not."""
    return re.sub(r"[^\w.-]", "_", f"model-{run_id}")


def kept(path: str, run_folder: str) -> str:
    """A second name for the checkpoint at ``path``, in the run's folder: the content stays when the first name goes.

    Checkpoints are never changed in place, so a hard link holds what was written and takes no room; where the file
    system has no links, it is a copy.
    """
    path = os.path.realpath(path)
    place = Path(run_folder, FOLDER, f"{Path(path).stem}-{secrets.token_hex(4)}", "model.ckpt")
    place.parent.mkdir(parents=True)
    try:
        if os.path.isdir(path):
            shutil.copytree(path, place, copy_function=_link_or_copy)
        else:
            _link_or_copy(path, str(place))
    except BaseException:
        forget(str(place))
        raise
    return str(place)


def forget(place: str) -> None:
    """Remove what ``kept`` has made."""
    folder = Path(place).parent
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # others still wait in it
        folder.parent.rmdir()


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@dataclass
class Upload:
    """One model to be sent. ``place`` is its content, ``ours`` whether that is a link of ours."""

    artifact: "Artifact"
    aliases: list[str]
    place: str
    ours: bool
    problem: str = "the server does not answer"


class Uploads:
    """The models of one run that are on their way to the server. A link of ours goes when its model has arrived.

    A thread hands them to the client, one after the other, while the server ``answers``: what the client is given
    while there is no server holds up the end of the run beyond every bound.
    """

    def __init__(self, run: "Run", answers: Callable[[], bool]) -> None:
        self.left: list[Upload] = []
        self._run, self._answers = run, answers
        self._open = 0
        self._changed = threading.Condition()
        self._given_up = threading.Event()
        self._queue: SimpleQueue[Upload] = SimpleQueue()
        self._sender: threading.Thread | None = None

    def send(self, upload: Upload) -> None:
        """Send a model in the background."""
        self.left.append(upload)
        with self._changed:
            self._open += 1
        self._queue.put(upload)
        if self._sender is None:
            self._sender = threading.Thread(target=self._send_all, name="wandb models", daemon=True)
            self._sender.start()

    def _send_all(self) -> None:
        while True:
            upload = self._queue.get()
            try:
                if self._delivered(upload):
                    _arrived(upload.artifact)
                    self.left.remove(upload)
                    if upload.ours:
                        forget(upload.place)
            except BaseException as error:
                upload.problem = (str(error) or type(error).__name__).splitlines()[0]
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def _delivered(self, upload: Upload) -> bool:
        """Hand a model to the client as soon as there is a server for it; False if the run ends before."""
        failed = require("wandb", "wandb").errors.Error
        while not self._given_up.is_set():
            if self._answers():
                try:
                    self._run.log_artifact(upload.artifact, aliases=upload.aliases)
                    return True
                except failed:
                    if self._answers():
                        raise
            self._given_up.wait(PAUSE)
        return False

    def wait(self) -> None:
        """Return when all is sent or has failed, or when the server has not answered for a while."""
        heard = time.monotonic()
        while not self.settled(1.0) and time.monotonic() - heard < SILENCE:
            if self._answers():
                heard = time.monotonic()

    def settled(self, patience: float) -> bool:
        """Whether nothing is on its way any more, within ``patience`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._open == 0, patience)

    def give_up(self) -> None:
        """Hand nothing more to the client."""
        self._given_up.set()


def _arrived(artifact: "Artifact") -> None:
    """Return once the server has the artifact; raise where it will not get it."""
    handle = getattr(artifact, "_save_handle", None)
    if handle is None:
        artifact.wait()
        return
    # As `artifact.wait` does, which then reads the artifact back: whether that works is another question. There is no
    # timeout, since the client gives an upload up when a wait for it runs out.
    answer = handle.wait_or(timeout=None).response.log_artifact_response
    if answer.error_message:
        raise ConnectionError(answer.error_message)


def warn_of_unsent(uploads: Uploads, project: str) -> None:
    """Say which models are not on the server, and how they get there."""
    for upload in uploads.left:
        name = upload.artifact.name.partition(":")[0]
        rank_zero_warn(
            f"The model {upload.place} may not have reached the W&B server ({upload.problem}). "
            f"`wandb artifact put --type model --name {project}/{name} {upload.place}` sends it."
        )
