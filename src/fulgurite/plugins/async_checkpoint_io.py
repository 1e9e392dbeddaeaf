"""Checkpoints that are written while training goes on."""

import copy
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import torch
from torch import Tensor

from fulgurite.base.arguments import checked
from fulgurite.base.errors import MisconfigurationException
from fulgurite.base.pieces import is_piece
from fulgurite.core.checkpoint_io import CheckpointIO, Place, TorchCheckpointIO


class AsyncCheckpointIO(CheckpointIO):
    """Copies a checkpoint into the computer's memory, and lets a thread write it by ``checkpoint_io``.

    Training waits for the copy alone, or where ``most_waiting`` checkpoints are still unwritten for the oldest of them,
    so memory holds that many at most. Files are written in their order; an old one goes, and a link is made, only when
    all before it was written well. The end of a run waits for them, also after an error; so do a Trainer's loads.

    A write that failed raises at the next save, or when the run ends; the next save is done all the same. Between the
    two, ``trainer.strategy.checkpoint_io.wait()`` returns when everything is on the disk. Tensors of a GPU are
    stored as tensors of the CPU.
    """

    most_waiting = 2
    """A checkpoint and the ``last.ckpt`` beside it."""

    @checked
    def __init__(self, checkpoint_io: CheckpointIO | None = None) -> None:
        if isinstance(checkpoint_io, AsyncCheckpointIO) or not isinstance(checkpoint_io, CheckpointIO | None):
            raise MisconfigurationException(
                f"AsyncCheckpointIO({checkpoint_io!r}): the CheckpointIO that writes was expected, such as "
                "TorchCheckpointIO()."
            )
        self.checkpoint_io = TorchCheckpointIO() if checkpoint_io is None else checkpoint_io
        self._thread: ThreadPoolExecutor | None = None
        self._writes: list[tuple[str, Future[None]]] = []
        self._failures: list[BaseException] = []

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Place, storage_options: Any | None = None) -> None:
        self.save_by(
            lambda snapshot: self.checkpoint_io.save_checkpoint(snapshot, path, storage_options=storage_options),
            checkpoint,
            path,
        )

    def save_by(self, write: Callable[[dict[str, Any]], Any], checkpoint: dict[str, Any], path: Place) -> None:
        while len(self._pending()) >= self.most_waiting:
            wait([self._writes[0][1]])
        snapshot = _Snapshot().of(checkpoint)
        self._submit(path, lambda: write(snapshot))
        # After this one is on its way: it may be the last of a run that is about to break.
        self._raise_failures()

    def load_checkpoint(
        self, path: Place, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        self._settle()
        return self.checkpoint_io.load_checkpoint(path, map_location, weights_only)

    def remove_checkpoint(self, path: Place) -> None:
        self.after_writes(lambda: self.checkpoint_io.remove_checkpoint(path))

    def exists(self, path: Place) -> bool:
        return os.fspath(path) in [name for name, _ in self._pending()] or self.checkpoint_io.exists(path)

    @property
    def busy(self) -> bool:
        return bool(self._pending())

    def wait(self) -> None:
        self._settle()
        self._raise_failures()

    def after_writes(self, act: Callable[[], Any], makes: Place | None = None) -> None:
        def unless_failed() -> None:
            if not self._failures:
                act()

        if self.busy:
            self._submit("" if makes is None else makes, unless_failed)
        else:
            unless_failed()

    def teardown(self) -> None:
        self._settle()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self.checkpoint_io.teardown()
        self._raise_failures()

    def __getstate__(self) -> dict[str, Any]:
        self._settle()
        return {**vars(self), "_thread": None, "_writes": []}

    def _submit(self, path: Place, act: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._writes.append((os.fspath(path), self._thread.submit(self._try, act)))

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:  # a thread has nobody to raise it to
            self._failures.append(error)

    def _pending(self) -> list[tuple[str, "Future[None]"]]:
        self._writes = [each for each in self._writes if not each[1].done()]
        return self._writes

    def _settle(self) -> None:
        wait([write for _, write in self._writes])

    def _raise_failures(self) -> None:
        failures, self._failures = self._failures, []
        if not failures:
            return
        first, *others = failures
        first.add_note("It was written while training went on. Files that it was to replace were kept.")
        for other in others:
            first.add_note(f"So failed: {type(other).__name__}: {other}")
        raise first


class _Snapshot:
    """A copy that training cannot change any more: containers and tensors new, storages shared as they were."""

    def __init__(self) -> None:
        self._storages: dict[int, torch.UntypedStorage] = {}

    def of(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, dict):
            return self._dict(value)
        if type(value) in (list, tuple, set):
            return type(value)(self.of(each) for each in value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(self.of(each) for each in value))
        if isinstance(value, str | bytes | int | float | complex | bool | None):
            return value
        try:
            return copy.deepcopy(value)
        except Exception:
            # What cannot be copied is written as it is, as without a thread.
            return value

    def _dict(self, value: dict[Any, Any]) -> dict[Any, Any]:
        copied = copy.copy(value)  # with its class and attributes, such as the versions in a state_dict
        for key, each in value.items():
            copied[key] = self.of(each)
        return copied

    def _tensor(self, tensor: Tensor) -> Tensor:
        if is_piece(tensor):
            return tensor.detach().to("cpu", copy=True)
        if type(tensor) is not Tensor or tensor.layout is not torch.strided or tensor.device.type == "meta":
            return tensor.detach().clone()
        storage = tensor.untyped_storage()
        found = self._storages.get(storage._cdata)
        if found is None:
            found = storage.clone() if tensor.device.type == "cpu" else storage.cpu()
            self._storages[storage._cdata] = found
        return torch.empty(0, dtype=tensor.dtype).set_(found, tensor.storage_offset(), tensor.size(), tensor.stride())
