"""Stacks as their readers want them: their own lines, and what those called that failed."""

import sys
import traceback
from types import FrameType

from fulgurite.base.rank import PACKAGE

NOT_THE_USERS = (PACKAGE, sys.prefix, sys.base_prefix, "<")
"""How the names of files begin that nobody wrote for this program: ours, and all that is installed."""


def users_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of the user's own, from ``frame`` outwards; None where there is none."""
    while frame is not None and frame.f_code.co_filename.startswith(NOT_THE_USERS):
        frame = frame.f_back
    return frame


def folded(error: BaseException) -> str:
    """The traceback of ``error`` without the frames of packages that lie between the user's own.

    Those after the user's innermost line stay, and all where no line is the user's.
    """
    told = traceback.TracebackException.from_exception(error)
    count = _fold(told)
    text = "".join(told.format())
    return f"{text}({count} frames of installed packages are left out.)\n" if count else text


def _fold(told: traceback.TracebackException | None) -> int:
    if told is None:
        return 0
    frames = list(told.stack)
    is_users = [not each.filename.startswith(NOT_THE_USERS) for each in frames]
    # From here on it is what the user's innermost line called; all of it where there is no such line.
    inner = len(frames) - is_users[::-1].index(True) if any(is_users) else 0
    kept = [each for each, own in zip(frames[:inner], is_users, strict=False) if own] + frames[inner:]
    told.stack = traceback.StackSummary.from_list(kept)
    others = [told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())]
    return len(frames) - len(kept) + sum(map(_fold, others))
