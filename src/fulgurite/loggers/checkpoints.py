"""The checkpoints that loggers store: which there are, what is said of them, and a second name while they wait."""

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fulgurite.callbacks.model_checkpoint import ModelCheckpoint

RECORDED_SETTINGS = ("monitor", "mode", "save_last", "save_top_k", "save_weights_only", "_every_n_train_steps")


def written_checkpoints(callback: "ModelCheckpoint") -> Sequence[tuple[float, str, Any]]:
    """(time, path, score) of the checkpoints that a callback holds and that are still there, the oldest first."""
    scores: dict[str, Any] = dict(getattr(callback, "best_k_models", {}))
    scores[callback.best_model_path] = callback.best_model_score
    scores.setdefault(getattr(callback, "last_model_path", ""), getattr(callback, "current_score", None))
    there = [(str(path), score) for path, score in scores.items() if path and os.path.exists(path)]
    return sorted(((os.path.getmtime(path), path, score) for path, score in there), key=lambda each: each[:2])


def metadata_of(callback: "ModelCheckpoint", path: str, score: Any) -> dict[str, Any]:
    """What is said about a checkpoint beside its content."""
    return {
        "score": score.item() if hasattr(score, "item") else score,
        "original_filename": Path(path).name,
        type(callback).__name__: {k: getattr(callback, k) for k in RECORDED_SETTINGS if hasattr(callback, k)},
    }


def lent(path: str, folder: Path) -> str:
    """A second name for a checkpoint below ``folder``, under which it stays: the callback may remove its own."""
    other = folder.absolute() / secrets.token_hex(4) / Path(path).name
    other.parent.mkdir(parents=True)
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)
    return str(other)
