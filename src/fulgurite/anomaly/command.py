"""`fulgurite anomaly`: what a word does, what is said meanwhile, and the exit code in the end."""

import os
import sys
from collections.abc import Sequence

from fulgurite.anomaly import config
from fulgurite.anomaly.verbs import VERBS
from fulgurite.base.errors import CheckpointError, DataError, MisconfigurationException, MissingExtra

USAGE, STOPPED, NO_READER = 2, 130, 141
#: What the user can mend: one message, no traceback. Anything else is ours and shows where it happened.
MISTAKES = (DataError, MisconfigurationException, CheckpointError, MissingExtra, OSError)


def main(words: Sequence[str]) -> int:
    """Do what the words behind `fulgurite anomaly` say, and return the exit code."""
    try:
        chosen = config.parse(words)
        code = VERBS[chosen.verb](chosen)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("fulgurite anomaly: stopped.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # Whoever read our output has seen enough. At exit the interpreter would flush once more, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except MISTAKES as error:
        print(f"fulgurite anomaly: {_told(error)}", file=sys.stderr)
        return USAGE


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    return str(error)
