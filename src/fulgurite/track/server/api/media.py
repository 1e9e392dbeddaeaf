"""What a run logged that is no line: of which type it is, at which steps, and what stood there at one of them."""

from collections import OrderedDict
from typing import Any, TypedDict

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.asked import BadRequest
from fulgurite.track.server.api.described import Parameter, tells, whole
from fulgurite.track.server.api.runs import run_of
from fulgurite.track.server.api.shapes import answer, key_shape
from fulgurite.track.store.history import FIRST_STEP, LAST_STEP
from fulgurite.track.store.paths import names_of
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store

MOST_KEYS = 200  # in one request
MOST_STEPS = 10_000
KEYS = Parameter("what was logged", list[str], needed=True)
REMEMBERED = 50_000  # types


class MediaKeyShape(TypedDict):
    """A key that holds something else than numbers; ``type`` is W&B's, or ``text``, or ``value``."""

    key: str
    name: str
    type: str
    count: int
    first: int
    last: int


class MomentShape(TypedDict):
    """The last value of a key at or before a step, and where it was logged; null where there is none."""

    key: str
    step: int | None
    value: Any


class MediaRoutes:
    """Addresses over the media of runs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._types: OrderedDict[tuple[int, str], str] = OrderedDict()

    def routes(self) -> list[BaseRoute]:
        run = "/projects/{entity}/{project}/runs/{run}"
        return [
            Route(run + "/media", self.media, methods=["GET"]),
            Route(run + "/media/steps", self.steps, methods=["GET"]),
            Route(run + "/moment", self.moment, methods=["GET"]),
        ]

    @tells({"keys": list[MediaKeyShape], "version": int})
    def media(self, request: Request) -> Response:
        """All keys that are no lines."""
        run = run_of(self._store, request)
        with self._store.database.reading():
            known = {path: key_shape(path, about) for path, about in self._store.history.keys(run.id).items()}
            others = [each for path, each in known.items() if each["kind"] == "other" and not path.startswith("_")]
            keys: list[MediaKeyShape] = [
                {
                    "key": each["key"],
                    "name": each["name"],
                    "type": self._type(run, each["key"]),
                    "count": each["count"],
                    "first": each["first"],
                    "last": each["last"],
                }
                for each in others
            ]
        return answer({"keys": keys, "version": run.version})

    @tells({"steps": list[int]}, query={"key": KEYS})
    def steps(self, request: Request) -> Response:
        """The steps at which any of the keys was logged; evenly thinned where they are too many."""
        run, keys = run_of(self._store, request), keys_asked(request)
        with self._store.database.reading():
            found = [self._store.history.read(run.id, key).steps for key in keys]
        steps = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
        if len(steps) > MOST_STEPS:
            steps = steps[np.linspace(0, len(steps) - 1, MOST_STEPS).round().astype(int)]
        return answer({"steps": steps.tolist()})

    @tells({"values": list[MomentShape]}, query={"key": KEYS, "step": whole("the step; the last one without it")})
    def moment(self, request: Request) -> Response:
        """What each key held at ``step``: its last value until then."""
        run, keys = run_of(self._store, request), keys_asked(request)
        step = asked.integer(request, "step", LAST_STEP, FIRST_STEP, LAST_STEP)
        with self._store.database.reading():
            return answer({"values": [self._at(run, key, step) for key in keys]})

    def _at(self, run: Run, key: str, step: int) -> MomentShape:
        found = self._store.newest.value(run.id, key, step)
        if not len(found):
            return {"key": key, "step": None, "value": None}
        return {"key": key, "step": int(found.steps[0]), "value": found.values()[0]}

    def _type(self, run: Run, path: str) -> str:
        """By the summary where it tells, else by one of the newest values; remembered."""
        place = run.id, path
        if place not in self._types:
            value = _inside(run.summary, names_of(path))
            if not isinstance(value, dict) or "_type" not in value:
                value = self._store.newest.glimpse(run.id, path)
            self._types[place] = type_of(value)
            if len(self._types) > REMEMBERED:
                self._types.popitem(last=False)
        return self._types[place]


def keys_asked(request: Request) -> list[str]:
    """The keys that the parameter ``key`` names."""
    keys = request.query_params.getlist("key")
    if not keys:
        raise BadRequest("The parameter 'key' is missing: what was logged, once for each key.")
    if len(keys) > MOST_KEYS:
        raise BadRequest(f"{len(keys)} keys are more than {MOST_KEYS} at once.")
    return keys


def type_of(value: Any) -> str:
    if isinstance(value, dict) and "_type" in value:
        return str(value["_type"])[:100]
    return "text" if isinstance(value, str) else "value"


def _inside(values: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        if not isinstance(values, dict):
            return None
        values = values.get(name)
    return values
