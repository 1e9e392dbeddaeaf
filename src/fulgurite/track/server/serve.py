"""From a data folder to a server that runs until it is told to end."""

import errno
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from fulgurite.base.errors import MisconfigurationException
from fulgurite.track.server.access import Policy
from fulgurite.track.server.app import application
from fulgurite.track.server.hosts import Hosts
from fulgurite.track.store.store import Store
from fulgurite.track.transfer.watching import Watch

PORT, TRIED = 7007, 100
ANY_KEY = "local-" + "0" * 40  # where no keys are demanded, the client still wants to see one
GRACE = 30  # seconds that requests in flight are given at the end


@dataclass(frozen=True)
class Settings:
    """How to serve: ``port`` None takes the first free one from ``PORT`` on.

    ``watched`` are folders whose offline runs are shown; those that loggers have noted are watched as well.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int | None = None
    browser: bool = True
    allowed_hosts: Sequence[str] = ()
    watched: Sequence[Path] = ()
    exports: bool = False


def serve(settings: Settings) -> None:
    """Serve until Ctrl-C or SIGTERM. Requests in flight are finished; what was acknowledged is on the disk by then."""
    with listening(settings.host, settings.port) as listener:
        store = Store(settings.folder)
        watch = Watch(store, settings.watched)
        try:
            policy = policy_of(settings, listener)
            server = uvicorn.Server(
                uvicorn.Config(
                    application(store, policy, exports=settings.exports),
                    log_level="warning",
                    access_log=False,
                    server_header=False,
                    timeout_graceful_shutdown=GRACE,
                    lifespan="off",
                    ws="none",
                )
            )
            address = address_of(settings.host, listener)
            print(told(address, store, policy), flush=True)
            if settings.browser and has_browser():
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            watch.start()
            _run(server, listener)
        finally:
            watch.stop()
            store.close()


def listening(host: str, port: int | None) -> socket.socket:
    """A socket that listens there. Raises ``MisconfigurationException`` if that can't be."""
    if port is not None:
        return _bound(host, port)
    for each in range(PORT, PORT + TRIED):
        try:
            return _bound(host, each)
        except PortInUse:
            continue
    raise MisconfigurationException(f"The ports {PORT} to {PORT + TRIED - 1} are all in use. Name one with --port.")


class PortInUse(MisconfigurationException):
    """Another program listens at that port already."""


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(place[:2], family=family, backlog=2048)
        # Connections take it over. Answers go out in two pieces, and without it the second one waits for the client's
        # acknowledgement of the first: 40 ms for each answer. asyncio sees to it only for sockets that it makes.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"Another program listens at port {port} of {host} already. Name another one with --port, or leave it "
                f"out: the next free one from {PORT} on is taken."
            ) from error
        raise MisconfigurationException(f"Can't listen at {host}:{port}: {error.strerror or error}.") from error


def policy_of(settings: Settings, listener: socket.socket) -> Policy:
    """Keys are demanded of everybody as soon as others than this machine's users can reach the server."""
    hosts = Hosts(listener.getsockname()[0], settings.allowed_hosts)
    return Policy(hosts, demands_keys=bool(settings.allowed_hosts) or not hosts.local)


def address_of(host: str, listener: socket.socket) -> str:
    """The address for a browser on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{listener.getsockname()[1]}"


def told(address: str, store: Store, policy: Policy) -> str:
    """What is printed at the start: where the server is, and how a client gets there."""
    users = len(store.users.all())
    demanded = policy.demands_keys or bool(users)
    key = "YOUR_KEY" if demanded else ANY_KEY
    assign = "set" if sys.platform == "win32" else "export"
    lines = [
        f"Fulgurite shows the runs of {store.folder} at {address}",
        "The wandb client logs here with these two settings:",
        f"  {assign} WANDB_BASE_URL={address}",
        f"  {assign} WANDB_API_KEY={key}",
    ]
    if demanded and users:
        lines.append(f"Keys are demanded of everybody; {users} {'user has' if users == 1 else 'users have'} one.")
    elif demanded:
        lines.append("Others can reach this address, so a key is demanded, and nobody has one yet. Make one with:")
        lines.append(f"  fulgurite ui keys add NAME --role admin --data {store.folder}")
    return "\n".join([*lines, "Ctrl-C ends it."])


def has_browser() -> bool:
    """Whether somebody sits here: a terminal, and a screen for a browser."""
    if not sys.stdout.isatty() or os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """uvicorn ends in order at either signal and raises it again afterwards; then there is nothing left to do."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
