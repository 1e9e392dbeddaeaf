"""Requests that no client sends, to every address of the server: an answer in good order, and it goes on."""

import gzip
import inspect
import json
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fulgurite.track.server.api.routes import api
from fulgurite.track.server.app import application
from fulgurite.track.server.sessions import Sessions
from fulgurite.track.store.store import Store
from fulgurite.track.wire.introspection import fields_of
from fulgurite.track.wire.schema.roots import DESCRIBED, Mutation, Query
from fuzz.targets import FAULTS, document
from support.asgi import ask
from support.depth import examples


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The application over a store with a run in it."""
    store = Store(tmp_path_factory.mktemp("store"))
    run, _ = store.runs.open(store.runs.project("p", create=True), "r")
    store.history.append(run.id, [(0, {"a": 1.0, "b": "x"}), (1, {"a": float("nan")})])
    yield application(store), store
    store.close()


def check_alive(app):
    status, body = ask(app, "POST", "/graphql", b'{"query": "{ viewer { username } }"}')
    assert status == 200 and b"viewer" in body


texts = st.sampled_from(["", "p", "r", "local", "0", "-1", "x/y", "..", "a\0b", "ü", "\ud800", "{}", "1e999", "null"])
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


# -- the file stream ------------------------------------------------------------------------------------------------

FILES = ["wandb-history.jsonl", "wandb-events.jsonl", "wandb-summary.json", "output.log", "x"]
streams = st.fixed_dictionaries(
    {},
    optional={
        "files": jsons | st.dictionaries(st.sampled_from(FILES), jsons | st.fixed_dictionaries({}, optional={
            "offset": jsons, "content": jsons | st.lists(jsons.map(json.dumps) | texts, max_size=3)}), max_size=2),
        "complete": jsons, "exitcode": jsons, "preempting": jsons, "uploaded": jsons, "dropped": jsons,
    },
)  # fmt: skip
bodies = st.binary(max_size=30) | jsons.map(lambda value: json.dumps(value).encode()) | streams.map(
    lambda value: json.dumps(value).encode())  # fmt: skip


@examples()
@given(body=bodies, packed=st.booleans())
def test_a_file_stream_takes_anything(served, body, packed):
    """It never refuses, or the client would give up the run; what can't be read is set aside."""
    app, _ = served
    headers = {"content-encoding": "gzip"} if packed else {}

    status, _ = ask(app, "POST", "/files/local/p/r/file_stream", gzip.compress(body) if packed else body, "", headers)

    assert status == 200
    check_alive(app)


@examples()
@given(names=st.tuples(texts, texts, texts), body=bodies)
def test_names_in_the_address_are_taken_or_refused(served, names, body):
    """Empty ones, such with slashes and such that are no text."""
    app, _ = served
    path = "/files/{}/{}/{}/file_stream".format(*names)

    status, _ = ask(app, "POST", path.encode("utf-8", "replace").decode(), body)

    assert status in (200, 400, 404, 405), status


# -- GraphQL --------------------------------------------------------------------------------------------------------


def arguments_of(kind, field):
    method = getattr(kind, field, None)
    return [name for name in inspect.signature(method).parameters if name != "self"] if callable(method) else []


EVERY = sorted({field for kind in DESCRIBED.values() for field in fields_of(kind)} | {"edges", "node", "pageInfo"})
ARGUMENTS = sorted({name for kind in DESCRIBED.values() for field in fields_of(kind) for name in
                    arguments_of(kind, field)})  # fmt: skip


@st.composite
def documents(draw):
    """Fields of our types, nested without regard to which type has which, with arguments of any kind."""
    variables = {}

    def field(name, arguments, depth):
        given = draw(st.dictionaries(st.sampled_from(arguments or ["x"]), jsons, max_size=3))
        for key, value in given.items():
            variables[f"v{len(variables)}"] = value
            given[key] = f"$v{len(variables) - 1}"
        told = f"({', '.join(f'{key}: {value}' for key, value in given.items())})" if given else ""
        inner = [] if depth > 3 else draw(st.lists(st.sampled_from(EVERY), max_size=4, unique=True))
        fields = " ".join(field(each, ARGUMENTS, depth + 1) for each in inner)
        return f"{name}{told} {{ __typename {fields} }}" if fields or draw(st.booleans()) else f"{name}{told}"

    kind, word = draw(st.sampled_from([(Query, "query"), (Mutation, "mutation")]))
    name = draw(st.sampled_from(fields_of(kind)))
    return f"{word} {{ {field(name, arguments_of(kind, name), 0)} }}", variables


@examples(4)
@example(asked=("{ viewer }", {}))
@given(asked=documents())
def test_any_field_with_any_arguments_is_answered(served, asked):
    """No answer is an error of Python's own."""
    app, _ = served
    text, variables = asked

    status, body = ask(app, "POST", "/graphql", json.dumps({"query": text, "variables": variables}).encode())

    assert status == 200, (status, body)
    for error in json.loads(body).get("errors", ()):
        assert not error["message"].startswith(FAULTS), (text, variables, error)


@examples()
@given(text=st.text(max_size=60), variables=st.text(max_size=9))
def test_any_text_is_a_document_or_refused(text, variables):
    """Whatever the parser makes of it."""
    raw = text.encode("utf-8", "replace")
    document(struct.pack("<H", len(raw)) + raw + variables.encode("utf-8", "replace"))


@examples()
@given(body=st.binary(max_size=40) | jsons.map(lambda value: json.dumps(value).encode()))
def test_a_body_that_is_no_request_is_refused(served, body):
    """With status 400 and a sentence."""
    app, _ = served

    status, answer = ask(app, "POST", "/graphql", body)

    assert status in (200, 400) and b"errors" in answer or b"data" in answer
    check_alive(app)


# -- the rest -------------------------------------------------------------------------------------------------------


def routes(app, prefix=""):
    for route in app.routes:
        inner = getattr(route, "routes", None)
        if inner:
            yield from routes(route, prefix + route.path)
        elif getattr(route, "methods", None):
            yield prefix + route.path, sorted(route.methods)


@examples()
@given(data=st.data())
def test_no_address_answers_with_a_failure(served, data):
    """Every route of the server, with any names, any query and any body."""
    app, _ = served
    path, methods = data.draw(st.sampled_from(sorted(routes(app))), label="route")
    method = data.draw(st.sampled_from(methods))
    parts = [
        data.draw(texts).encode("utf-8", "replace").decode() if part.startswith("{") else part
        for part in path.split("/")
    ]
    keys = st.sampled_from(["keys", "run", "runs", "x", "limit", "samples", "first", "last", "search", "kind"])
    query = "&".join(f"{k}={v}" for k, v in data.draw(st.dictionaries(keys, texts, max_size=3)).items())
    body = data.draw(bodies)

    status, answer = ask(app, method, "/".join(parts), body, query)

    assert status < 500, (method, "/".join(parts), query, body, status, answer)
    check_alive(app)


def test_every_route_is_among_those_that_are_tried(served):
    """The list is the application's own."""
    app, store = served
    tried = {path for path, _ in routes(app)}

    assert len(tried) > 15
    assert {f"/api{path}" for path, _ in routes(api(store, Sessions(b"s")))} <= tried
