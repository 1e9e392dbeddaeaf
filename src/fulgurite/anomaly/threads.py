"""One thread for small networks."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread for a while.

    A step of a network this small is over before its threads have met: with two of them it took 1.3 times as long on an
    idle machine, and up to 60 times as long beside other work.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
