"""Which of the scored checkpoints are the best. Decisions only; no file is touched here."""

from collections.abc import Mapping

import torch
from torch import Tensor

INFINITY = float("inf")


def unbeaten(mode: str) -> Tensor:
    """The score that every real one beats."""
    return torch.tensor(INFINITY if mode == "min" else -INFINITY)


def is_better(score: Tensor, other: Tensor, mode: str) -> bool:
    """Whether ``score`` beats ``other``; NaN beats nothing, a tie is no win."""
    return bool(score < other if mode == "min" else score > other)


def best_of(scores: Mapping[str, Tensor], mode: str) -> str:
    """The path with the best score, the older one of equals."""
    return (min if mode == "min" else max)(scores, key=lambda path: float(scores[path]))


def worst_of(scores: Mapping[str, Tensor], mode: str) -> str:
    """The path with the worst score, the older one of equals."""
    return (max if mode == "min" else min)(scores, key=lambda path: float(scores[path]))


def comparable(score: Tensor, mode: str) -> Tensor:
    """``score``, with NaN put last."""
    return unbeaten(mode) if torch.isnan(score) else score
