"""What the trainer is doing, as words that users compare with."""

from dataclasses import dataclass
from enum import Enum


class Word(str, Enum):
    """A string enum that compares with plain strings of any case and prints as its value."""

    def __str__(self) -> str:
        return self.value

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Enum):
            other = other.value
        return isinstance(other, str) and self.value.lower() == other.lower()

    def __hash__(self) -> int:
        return hash(self.value.lower())


class TrainerStatus(Word):
    """How the current or the last call ended."""

    INITIALIZING = "initializing"
    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"

    @property
    def stopped(self) -> bool:
        return self in (TrainerStatus.FINISHED, TrainerStatus.INTERRUPTED)


class TrainerFn(Word):
    """The verb that the user called."""

    FITTING = "fit"
    VALIDATING = "validate"
    TESTING = "test"
    PREDICTING = "predict"


class RunningStage(Word):
    """What runs inside that verb."""

    TRAINING = "train"
    SANITY_CHECKING = "sanity_check"
    VALIDATING = "validate"
    TESTING = "test"
    PREDICTING = "predict"

    @property
    def evaluating(self) -> bool:
        return self in (RunningStage.VALIDATING, RunningStage.TESTING, RunningStage.SANITY_CHECKING)

    @property
    def dataloader_prefix(self) -> str | None:
        """The word before ``_dataloader`` in the hook that brings this stage's data."""
        return {"sanity_check": "val", "validate": "val"}.get(self.value, self.value)


@dataclass
class TrainerState:
    """``fn`` and ``stage`` are None between calls."""

    status: TrainerStatus = TrainerStatus.INITIALIZING
    fn: TrainerFn | None = None
    stage: RunningStage | None = None

    @property
    def finished(self) -> bool:
        return self.status is TrainerStatus.FINISHED

    @property
    def stopped(self) -> bool:
        return self.status.stopped
