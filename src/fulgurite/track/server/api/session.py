"""Who is at the page, and the users that an admin manages."""

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.described import tells
from fulgurite.track.server.api.shapes import UserShape, answer, user_shape
from fulgurite.track.server.sessions import LIFE, Sessions
from fulgurite.track.store.users import LOCAL, READER, User, Users
from fulgurite.track.wire.routes import user_of


class SessionShape(UserShape):
    """Who asks; ``keys`` is false where none is demanded."""

    keys: bool


class SessionRoutes:
    """Logging in and out, and users."""

    def __init__(self, users: Users, sessions: Sessions) -> None:
        self._users, self._sessions = users, sessions

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/session", self.session, methods=["GET"]),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/users", self.list, methods=["GET"]),
            Route("/users", self.add, methods=["POST"]),
            Route("/users/{name}", self.revoke, methods=["DELETE"]),
        ]

    @tells(SessionShape)
    def session(self, request: Request) -> Response:
        """Who asks."""
        user = user_of(request)
        return answer({**user_shape(user), "keys": user is not LOCAL})

    @tells(UserShape, body={"key": str})
    async def login(self, request: Request) -> Response:
        """Show a key, and get the cookie that the pages use."""
        key = (await asked.fields(request, {"key": str})).get("key", "")
        user = await run_in_threadpool(self._users.with_key, key.strip())
        if user is None:
            raise HTTPException(403, "That is no key of this server. `fulgurite ui keys add NAME` makes one.")
        response = answer(user_shape(user))
        response.set_cookie(
            self._sessions.cookie,
            self._sessions.opened(user.id),
            max_age=LIFE,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    @tells({})
    async def logout(self, request: Request) -> Response:
        """Forget the cookie."""
        response = answer({})
        response.delete_cookie(self._sessions.cookie, httponly=True, samesite="strict")
        return response

    @tells({"users": list[UserShape]})
    def list(self, request: Request) -> Response:
        """All users; for admins with a key, as the next two."""
        _admin(request)
        return answer({"users": [user_shape(each) for each in self._users.all()]})

    @tells({"key": str}, body={"name": str, "role": str}, status=201)
    async def add(self, request: Request) -> Response:
        """Make a user: the answer is the only place where the key is ever seen."""
        _admin(request)
        said = await asked.fields(request, {"name": str, "role": str})
        key = await run_in_threadpool(self._users.add, said.get("name", ""), said.get("role", READER))
        return answer({"key": key}, 201)

    @tells({})
    def revoke(self, request: Request) -> Response:
        """Revoke a user's key."""
        _admin(request)
        self._users.revoke(asked.name(request, "name"))
        return answer({})


def _admin(request: Request) -> User:
    """An admin who has shown a key. Where none is needed, the command makes the first one."""
    user = user_of(request)
    if user is LOCAL or not user.may_manage:
        raise HTTPException(403, "Users are managed with an admin's key, or by `fulgurite ui keys` on this machine.")
    return user
