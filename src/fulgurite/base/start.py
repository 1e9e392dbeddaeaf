"""How this program was started, noted as soon as it imports the package: a script may change its folder later."""

import atexit
import logging
import os
import sys
from collections.abc import Callable

PARENT = "FULGURITE_PARENT"
"""The environment variable by which a process is told that it is a further rank, and who started it."""


def _folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


FOLDER = _folder()
"""The working folder at that time; None where there is none any more."""
PARENT_ID = int(os.environ.pop(PARENT, "0"))
"""The process that started this one as a further rank of its run; 0 if none did. What this one starts is no rank."""
last_words: list[Callable[[], int]] = []
"""Asked when the program ends, after what others have registered for that: the exit code, if the program has none."""


def _end() -> None:
    codes = [ask() for ask in last_words]
    code = next((code for code in codes if code), 0)
    if code and getattr(sys, "last_value", None) is None:
        # Nothing else makes Python end with another code from here on.
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


# What is registered first is called last.
atexit.register(_end)
