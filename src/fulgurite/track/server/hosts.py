"""The names under which a server may be called.

A page of a stranger can point its own name at 127.0.0.1 and so reach what listens there as if it were the page's own
server (DNS rebinding). It can't choose another name than its own, so that the name gives it away.
"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit


class Hosts:
    """The names of a server that listens at ``address``; ``allowed`` are those that its owner adds."""

    def __init__(self, address: str = "127.0.0.1", allowed: Iterable[str] = ()) -> None:
        self.local = is_loopback(address)
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed)
        if not self.local:
            self._allowed |= {socket.gethostname().lower()}

    def are_ours(self, host: str | None) -> bool:
        """Whether a request's ``Host`` (name or address, with or without a port) means this server."""
        name = _name(host or "")
        if name in self._allowed or name == "localhost":
            return True
        number = _number(name)
        # Beyond this machine any address will do: a stranger's page has a name, and an address can't be rebound.
        return number is not None and (number.is_loopback or not self.local)

    def origin_is_ours(self, origin: str, host: str | None) -> bool:
        """Whether a page at ``origin`` came from this server, when the request was sent to ``host``."""
        try:
            place = urlsplit(origin)
        except ValueError:
            return False
        if place.scheme not in ("http", "https") or not place.netloc:
            return False
        return place.netloc.lower() == (host or "").lower() or _name(place.netloc) in self._allowed


def is_loopback(address: str) -> bool:
    number = _number(address.strip("[]"))
    return number.is_loopback if number is not None else address == "localhost"


def _name(host: str) -> str:
    """The name of ``name:port`` or ``[address]:port``, in small letters."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def _number(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
