"""A port that was found free stays so: it is listened to until the process that needs it takes it over."""

import errno
import socket

BACKLOG = 2048
"""Ranks that may wait to be heard before the first of them begins to listen."""

_held: dict[int, socket.socket] = {}


def hold_free_port() -> int:
    """Return a port of this machine that is free, and keep everybody else from it."""
    return keep(_listener())


def hold(port: int) -> None:
    """Listen to ``port`` from now on. Raises ``OSError`` where another program does."""
    if port not in _held:
        keep(_listener(port))


def held(port: int) -> socket.socket | None:
    """What listens to ``port`` here, to be handed on to another process; None if the port was not found here."""
    return _held.get(port)


def take(port: int) -> int | None:
    """The file descriptor that listens to ``port``, which from now on is the caller's; None if it isn't held here."""
    listener = _held.pop(port, None)
    return None if listener is None else listener.detach()


def keep(listener: socket.socket) -> int:
    """Hold what another process found and handed on, and return its port."""
    port = int(listener.getsockname()[1])
    _held[port] = listener
    return port


def let_go(port: int) -> None:
    """Stop to listen in this process; one that the listener was handed on to goes on with it."""
    listener = _held.pop(port, None)
    if listener is not None:
        listener.close()


def _listener(port: int = 0) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise
            # This machine has the protocol, and no address in it.
    return socket.create_server(("", port), backlog=BACKLOG)
