"""One application out of all parts."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from fulgurite.track.server import pages
from fulgurite.track.server.access import Access, Policy
from fulgurite.track.server.api.asked import WholeNames
from fulgurite.track.server.api.routes import api, nothing, refusal
from fulgurite.track.server.headers import Headers
from fulgurite.track.server.hosts import Hosts
from fulgurite.track.server.secret import secret_of
from fulgurite.track.server.sessions import Sessions
from fulgurite.track.store.store import Store
from fulgurite.track.wire.bodies import LARGEST_FILE
from fulgurite.track.wire.routes import Wire


def application(
    store: Store,
    policy: Policy | None = None,
    largest: int = LARGEST_FILE,
    in_parts: bool = True,
    exports: bool = False,
) -> Starlette:
    """The whole server over ``store``; without a ``policy`` one for this machine alone.

    A file that is sent to it may have ``largest`` bytes. With ``in_parts=False`` big files come in one piece, for
    proxies that can't do otherwise. With ``exports`` the client finds the history of ended runs as Parquet files.
    """
    secret = secret_of(store.folder)
    sessions = Sessions(secret)
    return Starlette(
        routes=[
            *Wire(store, secret, largest, in_parts, exports).routes(),
            Mount("/api", api(store, sessions)),
            # The client gives up its own telemetry when it hears that nothing is there.
            Route("/sdk/otel/{rest:path}", nothing, methods=["GET", "POST"]),
            *pages.routes(),
        ],
        # From the outside in: whoever isn't let in is told so before anything of the request is read.
        middleware=[
            Middleware(Headers),
            Middleware(WholeNames),
            Middleware(Access, store.users, sessions, policy or Policy(Hosts())),
        ],
        exception_handlers={HTTPException: refusal},
    )
