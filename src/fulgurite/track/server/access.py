"""Who is let in. Everything is closed unless it is named here, so that a new address can't be forgotten."""

import base64
import binascii
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fulgurite.track.server.hosts import Hosts
from fulgurite.track.server.pages import shell
from fulgurite.track.server.sessions import Sessions
from fulgurite.track.store.users import LOCAL, User, Users

READS = ("GET", "HEAD", "OPTIONS")
# The first two are signed addresses, which are permissions by themselves; the others hold nothing of anybody's. The
# client sends its own telemetry to the last one, without a key: it gives up when nothing is there, and else complains.
OPEN = (
    *("/upload/", "/content/", "/static/", "/api/login", "/api/logout", "/api/docs", "/api/openapi.json"),
    *("/favicon.ico", "/sdk/otel/"),
)
SIGNED = ("/upload/", "/content/")
# Here the one who answers looks at what exactly is asked.
READERS_MAY_POST = ("/graphql", "/upload/", "/api/login", "/api/logout")


@dataclass(frozen=True)
class Policy:
    """What a server demands: ``hosts`` it answers to, and whether a key is needed even before there is one."""

    hosts: Hosts
    demands_keys: bool = False


class Access:
    """An ASGI application that lets through to ``app`` who may go there; ``state.user`` says who it is."""

    def __init__(self, app: ASGIApp, users: Users, sessions: Sessions, policy: Policy) -> None:
        self._app, self._users, self._sessions, self._policy = app, users, sessions, policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = HTTPConnection(scope)
        refusal = self._stranger(request)
        answer = refusal or self._preflight(request) or await run_in_threadpool(self._unknown, request)
        return await (answer or self._app)(scope, receive, send)

    def _stranger(self, request: HTTPConnection) -> Response | None:
        """A refusal for what a stranger's page in the user's browser may have sent."""
        host, hosts = request.headers.get("host"), self._policy.hosts
        if not hosts.are_ours(host):
            return _refused(403, f"This server does not answer to the name {host!r}. If it is its name: --allow-host.")
        origin = request.headers.get("origin")
        if request.scope["method"] in READS or origin is None or hosts.origin_is_ours(origin, host):
            return None
        return _refused(403, f"A page of {origin} may not change anything here.")

    def _preflight(self, request: HTTPConnection) -> Response | None:
        """The answer to our own page when it asks whether it may use a signed address. Others are told nothing.

        A browser need not ask that of its page's own server; `wandb verify` does, as a check of where files lie.
        """
        origin, path = request.headers.get("origin"), request.scope["path"]
        asks = request.scope["method"] == "OPTIONS" and path.startswith(SIGNED)
        if not asks or origin is None or not self._policy.hosts.origin_is_ours(origin, request.headers.get("host")):
            return None
        allowed = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Methods": "GET, PUT", "Vary": "Origin"}
        return Response(status_code=204, headers=allowed)

    def _unknown(self, request: HTTPConnection) -> Response | None:
        """A refusal for who has no key, or a reader's and wants to write. Notes who it is otherwise."""
        path, reads = request.scope["path"], request.scope["method"] in READS
        user = self._user(request)
        if user is None and not path.startswith(OPEN):
            wants_page = reads and "text/html" in request.headers.get("accept", "") and not path.startswith("/api/")
            return shell(401) if wants_page else _refused(401, _NEEDS_KEY)
        if user is not None and not (user.may_write or reads or path.startswith(READERS_MAY_POST)):
            return _refused(403, f"The key of {user.name} is a reader's: it may look, but change nothing.")
        request.state.user = user
        return None

    def _user(self, request: HTTPConnection) -> User | None:
        key = _key(request.headers.get("authorization", ""))
        if key is not None:
            found = self._users.with_key(key)
        else:
            number = self._sessions.user(request.cookies.get(self._sessions.cookie, ""))
            found = None if number is None else self._users.by_id(number)
        return found if found is not None or self.demands_keys() else LOCAL

    def demands_keys(self) -> bool:
        """Whether a key is needed: beyond this machine always, on it as soon as somebody was given one."""
        return self._policy.demands_keys or bool(self._users.all())


_NEEDS_KEY = (
    "This server needs one of its own keys, as WANDB_API_KEY or as the password of the user `api`. On the server's "
    "machine `fulgurite ui keys add NAME` makes one."
)


def _refused(status: int, why: str) -> Response:
    # The wandb client shows the second.
    return JSONResponse({"error": why, "errors": [{"message": why}]}, status)


def _key(header: str) -> str | None:
    """The key in an ``Authorization`` header: ``Basic`` with any user, as the client sends it, or ``Bearer``."""
    kind, _, rest = header.partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
