"""How checkpoints get to their place and back: the interface, and files on a disk."""

import os
from collections.abc import Callable
from typing import Any

from fulgurite.base import folder, format

Place = str | os.PathLike[str]


class CheckpointIO:
    """Writes, reads and removes checkpoints. Subclass it to keep them elsewhere: ``Trainer(plugins=[Mine()])``.

    Only rank 0 is asked to write and to remove. A write that may still go on when ``save_checkpoint`` returns overrides
    ``busy``, ``wait``, ``after_writes`` and ``exists`` as well.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Place, storage_options: Any | None = None) -> None:
        """Write ``checkpoint``; ``storage_options`` come from `Trainer.save_checkpoint`."""
        raise NotImplementedError(f"{type(self).__name__} is a CheckpointIO without `save_checkpoint`.")

    def load_checkpoint(
        self, path: Place, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Return what was saved at ``path``."""
        raise NotImplementedError(f"{type(self).__name__} is a CheckpointIO without `load_checkpoint`.")

    def remove_checkpoint(self, path: Place) -> None:
        """Remove what was saved at ``path``, if it is there."""
        raise NotImplementedError(f"{type(self).__name__} is a CheckpointIO without `remove_checkpoint`.")

    def save_by(self, write: Callable[[dict[str, Any]], Any], checkpoint: dict[str, Any], path: Place) -> None:
        """Let ``write(checkpoint)`` write ``path``, which takes all ranks; each of them is asked."""
        write(checkpoint)

    def exists(self, path: Place) -> bool:
        """Whether something was saved at ``path``, or is being saved."""
        return os.path.exists(path)

    @property
    def busy(self) -> bool:
        """Whether something is still being written."""
        return False

    def wait(self) -> None:
        """Return once everything is written. Raises what went wrong with it."""

    def after_writes(self, act: Callable[[], Any], makes: Place | None = None) -> None:
        """Do ``act``, which makes the file ``makes``, once everything so far is written, and only if that went well."""
        act()

    def teardown(self) -> None:
        """The run is over: finish, and let go. Raises what went wrong with a write."""


class TorchCheckpointIO(CheckpointIO):
    """Files by ``torch.save``: whole or not there, read back without running code unless ``weights_only=False``."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Place, storage_options: Any | None = None) -> None:
        if storage_options is not None:
            raise TypeError(
                f"storage_options={storage_options!r}: {type(self).__name__} writes plain files, which take no "
                "options. A CheckpointIO of your own may: `Trainer(plugins=[Mine()])`."
            )
        format.write(checkpoint, path)

    def load_checkpoint(
        self, path: Place, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return folder.read(path, map_location, weights_only)

    def remove_checkpoint(self, path: Place) -> None:
        folder.remove(path)
