"""Ports for the servers that tests start as programs."""

import errno
import random
import socket

_drawn = random.SystemRandom()


def free_port() -> int:
    """Return a port that nobody listens to, below those that the system gives to whoever asks for any (from 32768)."""
    for _ in range(1000):
        port = _drawn.randrange(10_000, 32_000)
        if is_free(port):
            return port
    raise AssertionError("No port between 10000 and 32000 is free.")


def is_free(port: int) -> bool:
    """Whether one could listen to ``port`` now."""
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError as error:
            assert error.errno == errno.EADDRINUSE, error
            return False
        return True
