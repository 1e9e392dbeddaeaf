"""The difference of two texts, in a time that has a bound whatever they hold."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import TypedDict

AROUND = 3  # unchanged lines that are shown around a change
MOST_WORK = 50_000_000  # steps of difflib in all, some seconds; what needs more counts as replaced
MOST = 6000  # lines in an answer
LONGEST = 2000  # characters of a line

Change = tuple[int, int, int, int, bool]  # from and to in the one, from and to in the other, whether they are equal


class HunkShape(TypedDict):
    """Lines that belong together: ``a`` and ``b`` are their first numbers, counted from 1; in ``lines`` each has the
    sign ``" "``, ``"-"`` or ``"+"`` and its text.
    """

    a: int
    b: int
    lines: list[list[str]]


def hunks(a: Sequence[str], b: Sequence[str], most: int = MOST) -> tuple[list[HunkShape], bool]:
    """The changed stretches with what is around them, and whether there are more than fit into ``most`` lines."""
    found: list[HunkShape] = []
    for group in _grouped(changes(a, b)):
        lines: list[list[str]] = []
        for a_from, a_to, b_from, b_to, equal in group:
            removed = [[" " if equal else "-", line[:LONGEST]] for line in a[a_from:a_to]]
            lines += removed if equal else [*removed, *(["+", line[:LONGEST]] for line in b[b_from:b_to])]
        if most < len(lines):
            found.append({"a": group[0][0] + 1, "b": group[0][2] + 1, "lines": lines[:most]})
            return found, True
        most -= len(lines)
        found.append({"a": group[0][0] + 1, "b": group[0][2] + 1, "lines": lines})
    return found, False


def changes(a: Sequence[str], b: Sequence[str]) -> list[Change]:
    """The way from ``a`` to ``b``, stretch by stretch.

    Lines that are there once in each hold the two together; difflib looks at what lies between them.
    """
    steps: list[Change] = []
    at_a = at_b = 0
    budget = _Budget()
    for next_a, next_b in [*_anchors(a, b), (len(a), len(b))]:
        steps += _between(a, b, (at_a, next_a, at_b, next_b), budget)
        if next_a < len(a):
            steps.append((next_a, next_a + 1, next_b, next_b + 1, True))
        at_a, at_b = next_a + 1, next_b + 1
    return _joined(steps)


class _Budget:
    """What difflib may still do. Lines that occur often in both texts cost most: it looks at all of their pairs."""

    def __init__(self) -> None:
        self._left = MOST_WORK

    def allows(self, a: Sequence[str], b: Sequence[str]) -> bool:
        """Whether it may find the way between these; if so, the work that it may take at most is spent."""
        counts = Counter(b)
        work = sum(counts[line] for line in a) * min(len(a), len(b))
        if work > self._left:
            return False
        self._left -= work
        return True


def _between(a: Sequence[str], b: Sequence[str], gap: tuple[int, int, int, int], budget: _Budget) -> Iterator[Change]:
    a_from, a_to, b_from, b_to = gap
    while a_from < a_to and b_from < b_to and a[a_from] == b[b_from]:
        yield a_from, a_from + 1, b_from, b_from + 1, True
        a_from, b_from = a_from + 1, b_from + 1
    same = 0
    while a_to - same > a_from and b_to - same > b_from and a[a_to - same - 1] == b[b_to - same - 1]:
        same += 1
    a_end, b_end = a_to - same, b_to - same
    mine, its = a[a_from:a_end], b[b_from:b_end]
    if not budget.allows(mine, its):
        yield a_from, a_end, b_from, b_end, False
    else:
        matcher = SequenceMatcher(None, mine, its, autojunk=False)
        for tag, i, j, k, m in matcher.get_opcodes():
            yield a_from + i, a_from + j, b_from + k, b_from + m, tag == "equal"
    if same:
        yield a_end, a_to, b_end, b_to, True


def _anchors(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """The longest rising row of pairs of lines that are there once in each text."""
    once_a, once_b = _once(a), _once(b)
    pairs = [(place, once_b[line]) for line, place in once_a.items() if line in once_b]
    ends: list[int] = []  # of the rows of each length, the lowest place in b at which one ends
    last: list[int] = []
    before: list[int | None] = []
    for count, (_, place) in enumerate(pairs):
        length = bisect_left(ends, place)
        before.append(last[length - 1] if length else None)
        ends[length : length + 1], last[length : length + 1] = [place], [count]
    row: list[tuple[int, int]] = []
    number: int | None = last[-1] if last else None
    while number is not None:
        row.append(pairs[number])
        number = before[number]
    return row[::-1]


def _once(lines: Sequence[str]) -> dict[str, int]:
    """The places of the lines that are there once, in their order."""
    counts = Counter(lines)
    return {line: place for place, line in enumerate(lines) if counts[line] == 1}


def _joined(steps: Sequence[Change]) -> list[Change]:
    found: list[Change] = []
    for a_from, a_to, b_from, b_to, equal in steps:
        if a_from == a_to and b_from == b_to:
            continue
        if found and found[-1][4] == equal:
            found[-1] = (found[-1][0], a_to, found[-1][2], b_to, equal)
        else:
            found.append((a_from, a_to, b_from, b_to, equal))
    return found


def _grouped(steps: Sequence[Change]) -> Iterator[list[Change]]:
    """Changes that lie near each other, with the equal lines around them."""
    group: list[Change] = []
    for number, (a_from, a_to, b_from, b_to, equal) in enumerate(steps):
        if not equal:
            group.append((a_from, a_to, b_from, b_to, equal))
            continue
        length, is_last = a_to - a_from, number == len(steps) - 1
        if group and not is_last and length <= 2 * AROUND:
            group.append((a_from, a_to, b_from, b_to, True))
            continue
        if group:
            kept = min(AROUND, length)
            yield [*group, (a_from, a_from + kept, b_from, b_from + kept, True)]
        kept = min(AROUND, length)
        group = [] if is_last else [(a_to - kept, a_to, b_to - kept, b_to, True)]
    if any(not equal for *_, equal in group):
        yield group
