"""The table of a project's runs: filtered, sorted, grouped, and told anew only where something has changed."""

import pytest

P = "/api/projects/local/p"


@pytest.fixture
def runs(store):
    """Five runs with a learning rate, an optimizer and a loss; the last one has no loss and is still running."""
    project = store.runs.project("p", create=True)
    found = []
    for i, (rate, optimizer, loss) in enumerate(
        [(0.1, "sgd", 3.0), (0.01, "adam", 1.0), (0.001, "adam", 2.0), (0.1, "adam", "NaN"), (1.0, "sgd", None)]
    ):
        known = {
            "config": {"lr": rate, "net": {"optimizer": optimizer}},
            "summary": {} if loss is None else {"loss": loss},
        }
        run, _ = store.runs.open(project, f"r{i}", created_at=1000.0 + i, **known)
        found.append(run if loss is None else store.end(run, 0))
    store.runs.update(found[1], display_name="The Best", tags=["good", "paper"], notes="seen twice")
    return found


def names(client, **parameters):
    answer = client.get(P + "/table", params=parameters)
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["runs"]]


def test_the_newest_are_first_with_the_columns_that_tell_most(client, runs):
    """Settings that differ, and results that are numbers."""
    answer = client.get(P + "/table").json()

    assert [each["name"] for each in answer["runs"]] == ["r4", "r3", "r2", "r1", "r0"]
    assert answer["columns"] == ["config.lr", "config.net.optimizer", "summary.loss"]
    assert answer["values"][str(runs[1].id)] == [0.01, "adam", 1.0]
    assert (answer["total"], answer["matched"], answer["running"]) == (5, 5, 1)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["config.lr>0.01"], ["r4", "r3", "r0"]),
        (["config.lr >= 0.01", "config.net.optimizer=adam"], ["r3", "r1"]),
        (["config.lr<=0.01"], ["r2", "r1"]),
        (["config.lr<0.01"], ["r2"]),
        (["state=running"], ["r4"]),
        (['state=["running", "failed"]'], ["r4"]),
        (["state!=finished"], ["r4"]),
        (["summary.loss=null"], ["r4"]),
        (["summary.loss!=null"], ["r3", "r2", "r1", "r0"]),
        (["tags=good"], ["r1"]),
        (["tags!=good"], ["r4", "r3", "r2", "r0"]),
        (["name~^the b"], ["r1"]),
        (["config.net.optimizer!~AD"], ["r4", "r0"]),
        (['"config.net.optimizer"="sgd"'], ["r4", "r0"]),
        (["config.nothing=1"], []),
    ],
)
def test_filters(client, runs, filters, expected):
    assert names(client, filter=filters) == expected


def test_words_are_looked_for_in_names_tags_and_notes(client, runs):
    assert names(client, search="best PAPER") == names(client, search="twice") == ["r1"]
    assert names(client, search="r") == ["r4", "r3", "r2", "r1", "r0"] and names(client, search="best r3") == []


def test_sorting_puts_what_has_no_value_last(client, runs):
    """In either direction; numbers before texts."""
    assert names(client, sort="summary.loss") == ["r1", "r2", "r0", "r3", "r4"]
    assert names(client, sort="-summary.loss")[-1] == "r4"
    assert names(client, sort=["config.net.optimizer", "-config.lr"]) == ["r3", "r1", "r2", "r4", "r0"]


def test_groups_tell_their_number_and_means(client, runs):
    answer = client.get(P + "/table", params={"group": "config.net.optimizer", "column": ["config.lr", "summary.loss"]})

    groups = answer.json()["groups"]
    assert [(each["key"], each["first"], each["count"]) for each in groups] == [(["sgd"], 0, 2), (["adam"], 2, 3)]
    assert groups[0]["means"] == [0.55, 3.0] and groups[1]["means"] == pytest.approx([0.037, 1.5])
    assert [each["name"] for each in answer.json()["runs"]] == ["r4", "r0", "r3", "r2", "r1"]


def test_a_window_of_the_rows(client, runs):
    answer = client.get(P + "/table", params={"first": 2, "from": 1, "sort": "created"}).json()

    assert [each["name"] for each in answer["runs"]] == ["r1", "r2"] and answer["matched"] == 5
    assert answer["order"] == [runs[1].id, runs[2].id]


def test_only_what_has_changed_is_told_again(client, store, runs):
    """The order is told always, since a change may move a run, and a new or deleted one all others."""
    seen = client.get(P + "/table").json()
    quiet = client.get(P + "/table", params={"since": seen["version"]}).json()
    assert quiet["runs"] == [] and quiet["values"] == {} and quiet["order"] == seen["order"]

    store.runs.update(runs[0], summary={"loss": 0.5})
    store.runs.delete([runs[3]])
    news = client.get(P + "/table", params={"since": seen["version"], "sort": "summary.loss"}).json()

    assert [each["name"] for each in news["runs"]] == ["r0"] and news["values"] == {str(runs[0].id): [0.1, "sgd", 0.5]}
    assert news["order"] == [runs[i].id for i in (0, 1, 2, 4)] and news["total"] == 4


def test_columns_tell_what_they_hold(client, store, runs):
    columns = client.get(P + "/columns")
    by_name = {each["name"]: each for each in columns.json()["columns"]}

    assert by_name["config.lr"] == {
        "name": "config.lr", "kind": "number", "count": 5, "low": 0.001, "high": 1.0, "values": [0.001, 0.01, 0.1, 1.0],
    }  # fmt: skip
    assert by_name["config.net.optimizer"]["values"] == ["adam", "sgd"]
    assert by_name["summary.loss"]["kind"] == "number" and by_name["summary.loss"]["count"] == 4
    assert (by_name["summary.loss"]["low"], by_name["summary.loss"]["high"]) == (1.0, 3.0)
    same = client.get(P + "/columns", headers={"if-none-match": columns.headers["etag"]})
    assert same.status_code == 304


def test_media_are_told_by_their_kind_and_many_values_not_at_all(client, store, runs):
    for i in range(20):
        store.runs.open(
            runs[0].project, f"more{i}", config={"seed": i}, summary={"x": {"_type": "image-file", "path": "a"}}
        )

    columns = {each["name"]: each for each in client.get(P + "/columns").json()["columns"]}

    assert columns["config.seed"]["values"] is None and columns["config.seed"]["high"] == 19
    assert columns["summary.x"]["kind"] == "other"
    table = client.get(P + "/table", params={"column": "summary.x", "first": 1}).json()
    assert [*table["values"].values()] == [[{"_type": "image-file"}]]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"filter": "config.lr"}, "'config.lr' is not COLUMN OPERATOR VALUE"),
        ({"filter": "colour=red"}, "no column 'colour'"),
        ({"filter": "name~("}, "no regular expression"),
        ({"filter": '"unfinished\\x"=1'}, "no text in double quotes"),
        ({"sort": "-nothing"}, "no column 'nothing'"),
        ({"group": "nothing"}, "no column 'nothing'"),
        ({"column": "nothing"}, "no column 'nothing'"),
        ({"first": "5001"}, "not within 0 and 5000"),
        ({"from": "-1"}, "from=-1"),
        ({"column": ["config.a"] * 501}, "more than 500"),
    ],
)
def test_what_cannot_be_understood_is_named(client, runs, parameters, words):
    answer = client.get(P + "/table", params=parameters)

    assert answer.status_code == 400 and words in answer.json()["error"]


def test_the_newest_runs_may_be_purged(client, store, runs):
    """Their versions are given again; the table must not keep what is gone."""
    assert client.get(P + "/table").json()["total"] == 5
    store.runs.delete(runs[1:])
    store.purge(older_than=-1)

    assert names(client) == ["r0"]
