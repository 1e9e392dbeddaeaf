"""What can go wrong at the user's hand. Every error here says what was given, what was expected, and the way out."""


class MisconfigurationException(Exception):
    """A setting, a hook or a call cannot work as it was given."""


class WrongKind(MisconfigurationException, TypeError, ValueError):
    """An argument is of another type than could be meant, or none of the words that may stand there."""


class SIGTERMException(SystemExit):
    """The process was asked to end (SIGTERM); exits with code 143."""

    def __init__(self, code: int = 143) -> None:
        super().__init__(code)


class RequeueException(SystemExit):
    """The cluster asked the job to make room, and its state was saved; exits with 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.path: str | None = None
        """The checkpoint; None where nothing was trained yet."""


class MissingExtra(ModuleNotFoundError):
    """An optional package is not installed; the message names the extra that brings it."""


class RanksDisagree(RuntimeError):
    """Ranks did different things where all have to do the same."""


class RankFailed(RuntimeError):
    """Another rank failed first; its own error is in the message."""


class LoaderTimeoutError(TimeoutError):
    """A loader gave no batch in the time that `LoaderTimeout` allows; the message says what it was doing."""


class CheckpointError(RuntimeError):
    """A checkpoint file cannot be written or read."""


class UntrustedCheckpoint(CheckpointError):
    """A checkpoint holds classes that are not loaded without an explicit word of trust."""


class DataError(ValueError):
    """The rows given can't be used as they are; the message says where, and what would be accepted."""
