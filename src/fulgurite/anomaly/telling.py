"""What the commands say meanwhile, on standard error: notes, and bars for long work."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def note(told: str) -> None:
    """Something guessed, repaired or good to know."""
    print(f"note: {told}", file=sys.stderr, flush=True)


@contextmanager
def bar(task: str, rows: int | None = None) -> Iterator[Callable[[int], object]]:
    """A bar for work on rows; what is yielded is told how many are done. It shows only where someone looks at it."""
    from tqdm import tqdm  # late: a user of the package alone needs none

    look: dict[str, Any] = {"unit": " rows", "unit_scale": True, "leave": False, "disable": None, "file": sys.stderr}
    with tqdm(desc=task, total=rows, **look) as shown:
        yield shown.update
