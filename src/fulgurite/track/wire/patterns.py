"""Patterns that clients send, kept from taking for ever: Python tries every way in which one may fit."""

import math
import re
from dataclasses import dataclass

LONGEST = 1000
MOST_TRIES = 1e8  # some seconds
REPEAT = re.compile(r"[*+?]|\{\d*,?\d*\}")
# What would have to be read in another way: comments, and patterns in which spaces mean nothing.
COMMENT = re.compile(r"\(\?(#|[a-zA-Z-]*x)")


class BadPattern(ValueError):
    """A pattern can't be used; the message says why."""


@dataclass
class _Group:
    """What is in a pair of brackets: how many repeats, and how many ways its choices leave."""

    repeats: int = 0
    branches: int = 1
    ways: float = 1.0

    def is_fixed(self) -> bool:
        return self.repeats == 0 and self.ways * self.branches == 1


class Pattern:
    """A regular expression. Raises ``BadPattern`` if it is none, or one whose time may be exponential."""

    def __init__(self, text: str, ignore_case: bool = False) -> None:
        if len(text) > LONGEST:
            raise BadPattern(f"has more than {LONGEST} characters")
        try:
            self._compiled = re.compile(text, re.IGNORECASE if ignore_case else 0)
        except (re.error, RecursionError, OverflowError) as error:
            raise BadPattern(f"is no regular expression: {error}") from error
        whole = _measured(text)
        self._repeats, self._ways = whole.repeats, whole.ways

    def is_in(self, text: str) -> bool:
        """Whether it fits somewhere in the text. Raises ``BadPattern`` if that may take too long to find out."""
        # It may begin anywhere, and each repeat may end anywhere behind the one before it.
        if math.comb(len(text) + self._repeats + 1, self._repeats + 1) * self._ways > MOST_TRIES:
            raise BadPattern(f"may take too long in a text of {len(text)} characters: take fewer repeats and choices")
        return self._compiled.search(text) is not None


def like(pattern: str) -> re.Pattern[str]:
    """An SQL pattern, where % stands for any text and _ for any character, as an expression for ``fullmatch``."""
    pieces = [""]
    for part in re.split(r"(\\.|%|_)", pattern):
        if part == "%":
            pieces.append("")
        else:
            pieces[-1] += "." if part == "_" else re.escape(part.removeprefix("\\"))
    first, *others = pieces
    # What stands between two % is taken where it is found first: another place would leave less for the rest.
    middle = "".join(f"(?>.*?{piece})" for piece in others[:-1] if piece)
    end = f".*{others[-1]}" if others else ""
    return re.compile(first + middle + end, re.IGNORECASE | re.DOTALL)


def _measured(text: str) -> _Group:
    """The whole of a pattern, which is one. Raises ``BadPattern`` if it repeats what may fit in many ways."""
    if COMMENT.search(text):
        raise BadPattern("has a comment, or spaces that mean nothing")
    above, last, place = [_Group()], _Group(), 0
    while place < len(text):
        letter, repeat = text[place], REPEAT.match(text, place)
        if repeat:
            if letter != "?" and not last.is_fixed():
                raise BadPattern("repeats a group that has a repeat or a choice in it, which may take forever")
            above[-1].repeats += 1
            place = repeat.end() + text.startswith(("?", "+"), repeat.end())
            continue
        if letter == "(":
            above.append(_Group())
            place += text.startswith("?", place + 1)
        elif letter == ")":
            last = above.pop()
            above[-1].repeats += last.repeats
            above[-1].ways *= last.ways * last.branches
        else:
            last = _Group()
            above[-1].branches += letter == "|"
        place = _behind(text, place)
    return above[0]


def _behind(text: str, place: int) -> int:
    """Where what stands at ``place`` ends: a letter, an escaped one, or a set of them."""
    if text[place] == "\\":
        return place + 2
    if text[place] != "[":
        return place + 1
    place += 1 + text.startswith("^", place + 1)
    place += text.startswith("]", place)
    while text[place] != "]":
        place += 2 if text[place] == "\\" else 1
    return place + 1
