"""The JSON API: what the pages and scripts are told of projects, runs, series, console and files."""

import json
import math

import numpy as np
import pytest

from fulgurite.track.store.console import Line
from fulgurite.track.store.history import SYSTEM

P = "/api/projects/local/p"
RUN = P + "/runs/abc"


def test_projects_are_listed_with_their_runs(client, store, run):
    """The one that was last active first."""
    store.runs.project("quiet", create=True)

    projects = client.get("/api/projects").json()["projects"]

    assert [(each["name"], each["runs"]) for each in projects] == [("quiet", 0), ("p", 1)]
    assert projects[1]["seen_at"] == run.seen_at and projects[0]["seen_at"] is None


def test_a_run_says_what_is_known_of_it(client, store, run):
    store.runs.alert(run, "Hot", "90 degrees", "WARN")

    said = client.get(RUN).json()

    assert (said["name"], said["display_name"], said["state"], said["rows"]) == ("abc", "abc", "running", 10)
    assert said["config"] == {"lr": 0.1} and said["summary"] == {"loss": 0.5}
    assert said["alerts"][0]["title"] == "Hot"


def test_a_run_that_did_not_change_is_not_sent_again(client, store, run):
    """The browser asks with what it has, and hears in one line that it is still so."""
    tag = client.get(RUN).headers["etag"]
    assert client.get(RUN, headers={"if-none-match": tag}).status_code == 304

    store.history.append(run.id, [(10, {"loss": 0.0})])

    assert client.get(RUN, headers={"if-none-match": tag}).json()["rows"] == 11


def test_a_page_asks_for_what_has_changed(client, store, run):
    """Runs that were made, changed and deleted since the version that it has seen; nothing where nothing was."""
    second, _ = store.runs.open(run.project, "second")
    seen = client.get(P + "/runs").json()
    assert [each["name"] for each in seen["runs"]] == ["second", "abc"] and not seen["delta"]
    quiet = client.get(P + "/runs", params={"since": seen["version"]}).json()
    assert quiet["delta"] and quiet["runs"] == [] and quiet["gone"] == []

    store.runs.open(run.project, "third")
    store.history.append(run.id, [(11, {"loss": 0.0})])
    store.runs.delete([second])
    news = client.get(P + "/runs", params={"since": seen["version"]}).json()

    assert {each["name"] for each in news["runs"]} == {"third", "abc"}
    assert news["gone"] == [second.id]


def test_other_projects_are_no_news(client, store, run):
    version = client.get(P + "/runs").json()["version"]

    store.runs.open(store.runs.project("q", create=True), "x")

    assert client.get(P + "/runs", params={"since": version}).json()["runs"] == []


def test_a_version_from_elsewhere_gets_the_whole_list(client, run):
    """Such as one that was seen before the store was replaced."""
    answer = client.get(P + "/runs", params={"since": 10**9}).json()

    assert not answer["delta"] and [each["name"] for each in answer["runs"]] == ["abc"]


def test_runs_come_in_pages(client, store, run):
    """Each page begins below the last number of the one before."""
    for i in range(5):
        store.runs.open(run.project, f"r{i}")

    names, before, more = [], None, True
    while more:
        page = client.get(P + "/runs", params={"first": 2} | ({"before": before} if before else {})).json()
        names += [each["name"] for each in page["runs"]]
        before, more = page["runs"][-1]["id"], page["more"]

    assert names == ["r4", "r3", "r2", "r1", "r0", "abc"]


def test_media_in_a_list_of_runs_are_only_named(client, store, run):
    """A histogram of each run would be most of the page."""
    store.runs.update(run, summary={"h": {"_type": "histogram", "values": [1] * 1000}, "x": 1})

    (listed,) = client.get(P + "/runs").json()["runs"]

    assert listed["summary"] == {"h": {"_type": "histogram"}, "x": 1}
    assert len(client.get(RUN).json()["summary"]["h"]["values"]) == 1000


def test_a_run_is_edited(client, store, run):
    answer = client.patch(RUN, json={"display_name": "new", "notes": "é", "tags": ["a", "b"], "group": None})

    assert answer.json()["tags"] == ["a", "b"]
    changed = store.runs.by_id(run.id)
    assert (changed.display_name, changed.notes, changed.group_name) == ("new", "é", None)


@pytest.mark.parametrize(
    "body", [{"state": "finished"}, {"tags": "a"}, {"tags": [1]}, {"notes": 3}, [], "x", None, {"tags": None}]
)
def test_what_cannot_be_set_is_told(client, store, run, body):
    """And nothing of it is kept."""
    answer = client.patch(RUN, json=body)

    assert answer.status_code == 400 and answer.json()["error"]
    assert store.runs.by_id(run.id) == run


def test_a_deleted_run_comes_back(client, store, run):
    """Until then it is in the list of the deleted ones alone."""
    ids = client.post(P + "/deleted", json={"runs": ["abc"]}).json()["ids"]
    assert client.get(RUN).status_code == 404
    assert [each["name"] for each in client.get(P + "/deleted").json()["runs"]] == ["abc"]

    client.post(P + "/restored", json={"ids": ids})

    assert client.get(RUN).status_code == 200


def test_all_are_deleted_or_none(client, store, run):
    assert client.post(P + "/deleted", json={"runs": ["abc", "nope"]}).status_code == 404
    assert client.get(RUN).status_code == 200


def test_a_run_of_another_project_is_not_restored_here(client, store, run):
    other, _ = store.runs.open(store.runs.project("q", create=True), "x")
    store.runs.delete([other])

    assert client.post(P + "/restored", json={"ids": [other.id]}).status_code == 404
    assert store.runs.by_id(other.id).deleted_at is not None


def test_a_run_is_asked_to_stop(client, store, run):
    client.post(RUN + "/stop")

    assert store.runs.by_id(run.id).stop_asked


def test_keys_say_what_can_be_drawn(client, store, run):
    store.history.append(run.id, [(20, {"word": "hi", "yes": True, "mixed": 1})])
    store.history.append(run.id, [(21, {"mixed": "no"})])

    keys = {each["name"]: each for each in client.get(RUN + "/keys").json()["keys"]}

    kinds = {name: keys[name]["kind"] for name in ("loss", "word", "yes", "mixed", "deep.x")}
    assert kinds == {"loss": "number", "word": "other", "yes": "boolean", "mixed": "number", "deep.x": "number"}
    assert (keys["loss"]["count"], keys["loss"]["first"], keys["loss"]["last"]) == (10, 0, 9)


def chart(client, key, **parameters):
    (found,) = client.get(RUN + "/charts", params={"key": key, **parameters}).json()["charts"]
    return found


def test_a_short_line_is_told_as_it_is(client, run):
    found = chart(client, "loss")

    assert found["x"] == list(range(10)) and found["last"] == [1 / (i + 1) for i in range(10)]
    assert found["low"] is None and found["high"] is None


def test_a_long_line_keeps_its_extremes(client, store, run):
    """In as many stretches as were asked for, and of what is in sight alone."""
    values = np.sin(np.arange(5000) / 50)
    values[3333] = 7
    store.history.append(run.id, [(i, {"long": float(v)}) for i, v in enumerate(values)])

    whole, part = chart(client, "long", buckets=100), chart(client, "long", buckets=100, low=3300, high=3350)

    assert len(whole["x"]) == 100 and max(whole["high"]) == 7 and min(whole["low"]) < -0.99
    assert part["x"] == list(range(3300, 3351)) and part["last"][33] == 7


def test_a_line_over_another_key(client, store, run):
    """Both at the steps that have both, in the order of the axis; limits are in its units."""
    store.history.append(
        run.id, [(20, {"loss": 5.0, "epoch": 3}), (21, {"loss": 6.0}), (22, {"loss": 7.0, "epoch": 2})]
    )

    assert chart(client, "loss", x="_runtime", low=4, high=8)["x"] == [4.0, 6.0, 8.0]
    by_epoch = chart(client, "loss", x="epoch")
    assert (by_epoch["x"], by_epoch["last"]) == ([2, 3], [7.0, 5.0])
    assert chart(client, "loss", x="never logged")["count"] == 0


def test_a_long_line_over_time_keeps_its_extremes(client, store, run):
    rows = [(i, {"y": 9.0 if i == 2500 else 0.0, "t": i / 10}) for i in range(100, 5000)]
    store.history.append(run.id, rows)

    found = chart(client, "y", x="t", buckets=50)

    assert len(found["x"]) == 50 and max(found["high"]) == 9 and found["x"] == sorted(found["x"])


def test_numbers_that_are_not_finite_are_null_in_a_line(client, store, run):
    """And texts where they stand alone: JSON has no word for them."""
    store.history.append(run.id, [(30, {"odd": 1.0}), (31, {"odd": math.nan}), (32, {"odd": math.inf})])
    store.runs.update(run, summary={"a": math.nan, "b": -math.inf, "c": [math.inf]})

    assert chart(client, "odd")["last"] == [1.0, None, None]
    assert client.get(RUN).json()["summary"] == {"a": "NaN", "b": "-Infinity", "c": ["Infinity"]}
    values = client.get(RUN + "/values", params={"key": "odd"}).json()["values"]
    assert [each["value"] for each in values] == [1.0, "NaN", "Infinity"]


def test_many_lines_come_in_one_answer(client, store, run):
    """Of several keys, and of several runs for each, in that order."""
    other, _ = store.runs.open(run.project, "other")
    store.history.append(other.id, [(0, {"loss": 3.0})])

    found = client.get(P + "/charts", params={"run": ["abc", "other"], "key": ["loss", "_runtime"]}).json()["charts"]

    assert [(each["key"], each["run"], each["count"]) for each in found] == [
        ("loss", "abc", 10),
        ("loss", "other", 1),
        ("_runtime", "abc", 10),
        ("_runtime", "other", 0),
    ]


def test_system_metrics_are_a_stream_of_their_own(client, store, run):
    """At milliseconds since 1970."""
    store.history.append(run.id, [(1_700_000_000_000 + i, {"system.cpu": i}) for i in range(3)], SYSTEM)

    (key,) = client.get(RUN + "/keys", params={"stream": "system"}).json()["keys"]

    assert chart(client, key["key"], stream="system")["x"][0] == 1_700_000_000_000
    assert "system.cpu" not in client.get(RUN + "/keys").text


def test_values_come_as_they_were_logged(client, store, run):
    """The last ones, if there are more than asked for."""
    store.history.append(run.id, [(i, {"img": {"_type": "image-file", "path": f"{i}.png"}}) for i in range(5)])

    answer = client.get(RUN + "/values", params={"key": "img", "most": 2}).json()

    assert [(each["step"], each["value"]["path"]) for each in answer["values"]] == [(3, "3.png"), (4, "4.png")]
    assert answer["count"] == 5


def test_the_console_is_read_from_a_line_on(client, store, run):
    store.console.write(run.id, [Line(i, "stdout", None, None, f"line {i}") for i in range(30)])

    def numbers(**asked):
        return [each["number"] for each in client.get(RUN + "/console", params=asked).json()["lines"]]

    assert numbers(first=27) == [27, 28, 29]
    assert numbers(last=2) == [28, 29]
    assert numbers(first=3, most=2) == [3, 4]
    assert client.get(RUN + "/console", params={"first": 99}).json() == {"lines": [], "count": 30}


def test_files_are_listed_and_read(client, store, run):
    store.blobs.put(run.id, "code/a b.py", store.blobs.keep_bytes(b"print(1)\n"))

    (file,) = client.get(RUN + "/files").json()["files"]

    assert (file["name"], file["size"], file["type"]) == ("code/a b.py", 9, "text/x-python")
    assert client.get(RUN + "/files/content", params={"name": "code/a b.py"}).content == b"print(1)\n"
    assert client.get(RUN + "/files/content", params={"name": "no"}).status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/projects/local/nope/runs", 404, "nope"),
        (P + "/runs/nope", 404, "nope"),
        (P + "/runs?first=x", 400, "first='x'"),
        (P + "/runs?first=0", 400, "first=0"),
        (RUN + "/charts", 400, "'key'"),
        (RUN + "/charts?key=loss&buckets=999999", 400, "buckets"),
        (RUN + "/charts?key=loss&low=nan", 400, "low"),
        (RUN + "/charts?key=loss&stream=odd", 400, "history, system"),
        (RUN + "/charts?" + "key=loss&" * 1001, 400, "1000 lines"),
        (P + "/charts?key=loss", 400, "'run'"),
        (RUN + "/values", 400, "'key'"),
        ("/api/nothing", 404, "/api/nothing"),
        ("/nothing/at/all/of/it", 404, "API"),
    ],
)
def test_a_fault_is_told_with_its_status(client, run, path, status, said):
    answer = client.get(path)

    assert answer.status_code == status
    assert said in answer.json()["error"]


def test_a_wrong_method_is_told(client, run):
    answer = client.delete(RUN)

    assert answer.status_code == 405 and answer.json()["error"]


def test_steps_at_the_edge_of_what_is_possible(client, store, run):
    """The lowest and the highest number that a step can be, and limits far beyond."""
    store.history.append(run.id, [(2**62, {"far": 1.0})])

    assert chart(client, "far", low=-1e300, high=1e300)["x"] == [2**62]


def test_a_thousand_runs_are_told_of_quickly(client, store, run):
    """Not by one query each."""
    with store.database.writing():
        for i in range(1000):
            store.runs.open(run.project, f"n{i}")

    assert len(json.loads(client.get(P + "/runs", params={"first": 2000}).content)["runs"]) == 1001
