"""The description of the API: it names every route, and what it says of answers is what is answered."""

from typing import Any, TypedDict

import pytest
from starlette.responses import Response
from starlette.routing import Route

from fulgurite.track.server.api.described import Told, needed, tells
from fulgurite.track.server.api.openapi import Shapes, description
from fulgurite.track.server.api.routes import api
from fulgurite.track.server.sessions import Sessions
from support.artifacts import logged

PAGES = {"/docs", "/{rest:path}"}  # no part of the API itself


@pytest.fixture
def routes(store):
    return [each for each in api(store, Sessions(b"x")).routes if each.path not in PAGES]


@pytest.fixture
def document(client):
    return client.get("/api/openapi.json").json()


def test_every_route_is_declared_beside_its_handler(routes):
    """What to do about a failure: src/fulgurite/track/server/api/described.py."""
    bare = [each.path for each in routes if not isinstance(getattr(each.endpoint, "told", None), Told)]
    assert bare == [], "write @tells(…) above their handlers, and give these a docstring"


def test_every_route_is_in_the_description(document, routes):
    told = {(method, path) for path, methods in document["paths"].items() for method in methods}
    there = {(method.lower(), each.path) for each in routes for method in each.methods if method != "HEAD"}

    assert told == there and ("get", "/projects/{entity}/{project}/table") in told


def test_every_operation_has_words_parameters_and_errors(document):
    operations = [each for methods in document["paths"].values() for each in methods.values()]

    assert len({each["operationId"] for each in operations}) == len(operations)
    for each in operations:
        assert each["summary"] and {"400", "401", "403", "404"} <= each["responses"].keys(), each
        assert all(parameter["description"] for parameter in each["parameters"]), each


def test_every_shape_says_what_it_is(document):
    shapes = document["components"]["schemas"]

    assert len(shapes) > 20 and [name for name, each in shapes.items() if not each.get("description")] == []


def test_references_lead_somewhere(document):
    def references(value):
        if isinstance(value, dict):
            yield from [value["$ref"]] if "$ref" in value else []
            value = list(value.values())
        for each in value if isinstance(value, list) else []:
            yield from references(each)

    named = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= named


def test_a_route_without_a_declaration_is_named():
    def forgotten(request: Any) -> Response:
        """A handler."""
        raise NotImplementedError

    with pytest.raises(TypeError, match=r"GET /x is not declared: write @tells.* above .*forgotten"):
        description([Route("/x", forgotten, methods=["GET"])])


def test_a_type_that_json_does_not_have_is_named():
    with pytest.raises(TypeError, match="complex"):
        Shapes().of({"x": complex})


def test_shapes_of_all_kinds():
    class InnerShape(TypedDict):
        """One."""

        again: "list[int] | None"

    shapes = Shapes()
    found = shapes.of({"a": InnerShape, "b": dict[str, float], "c": Any})

    assert found["properties"] == {
        "a": {"$ref": "#/components/schemas/Inner"},
        "b": {"type": "object", "additionalProperties": {"type": "number"}},
        "c": {},
    }
    again = {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}
    assert shapes.named["Inner"]["properties"] == {"again": again} and shapes.named["Inner"]["description"] == "One."


def test_parameters_tell_their_type_and_default():
    @tells({}, query={"key": needed("a key"), "first": "how many"})
    def handler(request: Any) -> Response:
        """Does it."""
        raise NotImplementedError

    found = description([Route("/x", handler, methods=["GET"])])["paths"]["/x"]["get"]["parameters"]

    assert [(each["name"], each["required"], each["schema"]) for each in found] == [
        ("key", True, {"type": "string"}),
        ("first", False, {"type": "string"}),
    ]


@pytest.fixture
def known(store, run):
    """Something of everything in the project p."""
    store.runs.alert(run, "title", "text", "WARN")
    store.blobs.put(run.id, "a.txt", store.blobs.keep_bytes(b"x"))
    store.history.append(run.id, [(3, {"h": {"_type": "histogram", "values": [1, 2], "bins": [0, 1, 2]}})])
    store.blobs.put(run.id, "t.json", store.blobs.keep_bytes(b'{"columns": ["a"], "data": [[1], ["x"]]}'))
    store.blobs.put(run.id, "a.obj", store.blobs.keep_bytes(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"))
    store.blobs.put(run.id, "a.pqr", store.blobs.keep_bytes(b"ATOM 1 N GLY 1 0 0 0 0.1 1.5\n"))
    store.blobs.put(run.id, "code/a.py", store.blobs.keep_bytes(b"x = 1"))
    store.runs.open(run.project, "xyz")
    artifact = logged(store, run.project, "net", "model", {"a/b.txt": b"x", "c": b"y"}, run)
    store.artifacts.lineage.used(run.id, artifact.id)
    logged(store, run.project, "net", "model", {"c": b"z"}, run)
    sweep = store.sweeps.create(
        run.project, "method: random\nmetric: {name: loss}\nparameters: {lr: {value: 1}}", 1, "RUNNING"
    )
    store.sweeps.add_agent(sweep, "here")
    store.runs.update(run, sweep=sweep.name)
    return {
        "entity": "local",
        "project": "p",
        "run": "abc",
        "type": "model",
        "name": "net",
        "version": "v0",
        "sweep": sweep.name,
    }


# What an address must be asked, by its last word.
ASKED = {
    "charts": {"key": "loss", "run": "abc"}, "values": {"key": "loss"}, "importance": {"metric": "summary.loss"},
    "difference": {"to": "v1"}, "table": {"group": "state"}, "content": {"name": "a.txt"}, "file": {"name": "c"},
    "keys": {"run": "abc"}, "search": {"text": "x"}, "steps": {"key": "h"}, "moment": {"key": "h"},
    "histograms": {"key": "h"}, "tables": {"name": "t.json"}, "diff": {"a": "abc", "b": "xyz", "name": "code/a.py"},
    "mesh": {"name": "a.obj"}, "molecule": {"name": "a.pqr"},
}  # fmt: skip
REFUSED = {"/users"}  # needs an admin's key


def test_answers_have_the_shapes_that_are_told(client, document, known):
    """Each address that can be read is asked, and its JSON compared with what is said of it."""
    told, compared = document["paths"], 0
    for path, methods in told.items():
        if "get" not in methods or path in REFUSED:
            continue
        (media, content), *_ = methods["get"]["responses"]["200"]["content"].items()
        answer = client.get("/api" + path.format(**known), params=ASKED.get(path.rpartition("/")[2]))
        assert answer.status_code == 200, (path, answer.text)
        if media == "application/json":
            compared += 1
            assert list(faults(document, content["schema"], answer.json())) == [], path

    assert compared > 20


def faults(document, schema, value, place="answer"):
    """Where a value is not as its schema says."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        if all(list(faults(document, each, value, place)) for each in schema["anyOf"]):
            yield f"{place} is {value!r}"
        return
    kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict, "array": list}
    kind = schema.get("type")
    if kind == "null" and value is not None:
        yield f"{place} is {value!r}, not null"
    elif kind in kinds and (not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean")):
        yield f"{place} is {value!r}, no {kind}"
    elif kind == "object" and "properties" in schema:
        if value.keys() != schema["properties"].keys():
            yield f"{place} has {sorted(value.keys() ^ schema['properties'].keys())} too much or too little"
        for name in value.keys() & schema["properties"].keys():
            yield from faults(document, schema["properties"][name], value[name], f"{place}.{name}")
    elif kind == "object":
        for name, each in value.items():
            yield from faults(document, schema.get("additionalProperties", {}), each, f"{place}.{name}")
    elif kind == "array":
        for i, each in enumerate(value):
            yield from faults(document, schema["items"], each, f"{place}[{i}]")


def test_the_description_needs_no_key(client, store):
    """It holds nothing of anybody's."""
    store.users.add("ada", "reader")

    assert client.get("/api/openapi.json").status_code == 200
    assert client.get("/api/docs").status_code == 200 and client.get("/api/projects").status_code == 401
