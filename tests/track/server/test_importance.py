"""What matters, over the API: which runs it rests on, which settings are looked at, and what is warned of."""

import pytest

P = "/api/projects/local/p/importance"


@pytest.fixture
def runs(store):
    """Forty runs whose loss falls with the rate; half of them are called good."""
    project = store.runs.project("p", create=True)
    for i in range(40):
        rate = (i * 7 % 40 + 1) / 100
        config = {
            "lr": rate,
            "net": {"deep": i % 2 == 0},
            "same": 1,
            "path": f"/data/{i}",
            "opt": ["sgd", "adam"][i % 2],
        }
        summary = {"loss": 1 - rate} if i else {"loss": "NaN"}
        store.runs.open(project, f"r{i}", config=config, summary=summary, tags=["good"] if i % 2 else [])


def test_what_matters_is_told_with_what_it_rests_on(client, runs):
    answer = client.get(P, params={"metric": "summary.loss"}).json()

    assert answer["runs"] == 39 and answer["method"] in ("forest", "bins") and answer["warnings"] == []
    first, *others = answer["influences"]
    assert first["column"] == "config.lr" and first["correlation"] == pytest.approx(-1)
    assert first["share"] > 0.8 and sum(each["share"] for each in answer["influences"]) == pytest.approx(1)
    assert {each["column"] for each in others} == {"config.net.deep", "config.opt"}
    assert client.get(P, params={"metric": "summary.loss"}).json() == answer


def test_the_chosen_runs_and_columns_count(client, runs):
    asked = {"metric": "summary.loss", "filter": ["tags=good", "config.lr>0.1"], "column": ["config.lr", "duration"]}
    answer = client.get(P, params=asked).json()

    assert {each["column"] for each in answer["influences"]} == {"config.lr", "duration"}
    assert answer["runs"] < 20 and "below 30" in answer["warnings"][0]


def test_few_runs_say_nothing(client, runs):
    answer = client.get(P, params={"metric": "summary.loss", "search": "r2"}).json()
    few = client.get(P, params={"metric": "summary.loss", "filter": "config.lr<0.06"}).json()

    assert answer["runs"] == 11
    assert "nothing can be said" in few["warnings"][0] and few["influences"][0]["importance"] is None


def test_what_the_browser_has_is_not_reckoned_again(client, store, runs):
    answer = client.get(P, params={"metric": "summary.loss"})
    again = {"params": {"metric": "summary.loss"}, "headers": {"if-none-match": answer.headers["etag"]}}
    assert client.get(P, **again).status_code == 304

    store.runs.open(store.runs.project("p"), "new", config={"lr": 9}, summary={"loss": 0})

    assert client.get(P, **again).json()["runs"] == 40


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "'metric' is missing"),
        ({"metric": "loss"}, "no column 'loss'"),
        ({"metric": "summary.loss", "column": "x"}, "no column 'x'"),
        ({"metric": "summary.loss", "filter": "x"}, "is not COLUMN OPERATOR VALUE"),
        ({"metric": "summary.loss", "column": ["config.a"] * 61}, "more than 60"),
    ],
)
def test_what_cannot_be_understood_is_named(client, runs, parameters, words):
    answer = client.get(P, params=parameters)

    assert answer.status_code == 400 and words in answer.json()["error"]


def test_whole_numbers_beyond_any_float_count_as_none(client, store):
    project = store.runs.project("p", create=True)
    for i in range(10):
        store.runs.open(project, f"r{i}", config={"seed": 10**400 + i, "lr": i}, summary={"loss": i or 10**400})

    answer = client.get(P, params={"metric": "summary.loss"}).json()

    assert answer["runs"] == 9
    assert next(each for each in answer["influences"] if each["column"] == "config.lr")["correlation"] == 1
