"""Logged tables, page by page."""

import json
import random

import pytest

from fulgurite.track.server.api import tablefile
from fulgurite.track.server.api.tablefile import NoTable, TableFile
from fulgurite.track.server.api.tables import sorting
from support.artifacts import logged

TABLES = "/api/projects/local/p/runs/abc/tables"
SMALL = {"columns": ["n", "word"], "data": [[3, "c"], [1, "é"], [None, "a"], [2.5, "Ab"]]}


@pytest.fixture
def keep(store, run):
    """Keeps a text, or what becomes JSON, as the run's file ``t``."""

    def keep(content):
        text = content if isinstance(content, str) else json.dumps(content)
        store.blobs.put(run.id, "t", store.blobs.keep_bytes(text.encode()))

    return keep


def page(client, **parameters):
    answer = client.get(TABLES, params={"name": "t", **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_page_of_rows(client, keep):
    keep({"columns": ["i", "square"], "data": [[i, i * i] for i in range(1000)], "nrows": 1000})

    answer = page(client, **{"from": 990, "first": 3})

    assert answer["rows"] == [[990, 980100], [991, 982081], [992, 984064]] and answer["numbers"] == [990, 991, 992]
    assert (answer["total"], answer["matched"], answer["columns"]) == (1000, 1000, ["i", "square"])
    assert page(client, **{"from": 5000})["rows"] == []


def test_rows_are_sorted(client, keep):
    """Numbers before texts; a row without a value is last whichever way."""
    keep(SMALL)

    assert page(client, sort="n")["numbers"] == [1, 3, 0, 2]
    assert page(client, sort="-n")["numbers"] == [0, 3, 1, 2]
    assert page(client, sort="-word")["numbers"] == [1, 0, 2, 3]


def test_rows_are_sorted_by_several_columns(client, keep):
    rows = [[random.Random(i).choice("abc"), i % 7] for i in range(50)]
    keep({"columns": ["x", "y"], "data": rows})

    answer = page(client, sort=["x", "-y"])

    assert answer["rows"] == sorted(rows, key=lambda row: (row[0], -row[1]))


def test_rows_are_filtered_and_searched(client, keep):
    keep(SMALL)

    assert page(client, filter="n>1")["numbers"] == [0, 3]
    assert page(client, filter=["n>1", "word=c"])["numbers"] == [0]
    assert page(client, filter="word=é")["numbers"] == [1]
    assert page(client, filter="n=null")["numbers"] == [2]
    assert page(client, search="A")["numbers"] == [2, 3]
    answer = page(client, search="É", sort="n")
    assert answer["numbers"] == [1] and answer["matched"] == 1 and answer["total"] == 4


def test_numbers_that_json_does_not_know(client, keep):
    keep('{"columns": ["x"], "data": [[NaN], [1], [-Infinity], [Infinity]]}')

    assert page(client)["rows"] == [["NaN"], [1], ["-Infinity"], ["Infinity"]]
    assert page(client, sort="x")["numbers"] == [2, 1, 3, 0]


def test_letters_of_all_kinds_come_back(client, keep):
    """Whether the file holds them as they are or as escapes."""
    rows = [['é 🙂 \u2028 ]}\\"', {"ü": ["ß"]}], ['", "data": [', "\x1b"]]
    for ascii in (True, False):
        keep(json.dumps({"columns": ["é🙂", "b"], "data": rows}, ensure_ascii=ascii))

        answer = page(client, sort="-é🙂" if ascii else "é🙂")

        assert answer["columns"] == ["é🙂", "b"]
        assert answer["rows"] == (rows if ascii else rows[::-1])


def test_pieces_end_anywhere(client, keep, monkeypatch):
    """In the middle of a number, a text or a word."""
    monkeypatch.setattr(tablefile, "PIECE", 7)
    rows = [[i, "text " * i, -1.5e-7 * i, None, True, {"_type": "x"}] for i in range(30)]
    keep({"ncols": 6, "columns": list("abcdef"), "data": rows, "more": 12345678901})

    assert page(client)["rows"] == rows
    assert page(client, sort="-a", first=2)["numbers"] == [29, 28]


def test_columns_may_come_last(client, keep):
    keep('{"data": [[1, 2]], "columns": ["a", "b"]}')

    assert page(client, sort="b")["columns"] == ["a", "b"]


def test_long_cells_and_many_columns_are_cut(client, keep):
    """Media are not: they would be none."""
    picture = {"_type": "image-file", "path": "x" * 3000}
    keep({"columns": list(map(str, range(1000))), "data": [["y" * 10_000, list(range(5000)), picture, *range(997)]]})

    answer = page(client)

    assert len(answer["columns"]) == 200 and answer["more_columns"] == 800
    text, numbers, media = answer["rows"][0][:3]
    assert len(text) == len(numbers) == 2001 and media == picture


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "12",
        '{"columns": ["a"]',
        '{"data": 5}',
        '{"data": [[1,]]}',
        '{"data": [[1] [2]]}',
        '{"a": ' + "[" * 90_000,
    ],
)
def test_what_is_no_table_is_told(client, keep, content):
    keep(content)

    answer = client.get(TABLES, params={"name": "t"})

    assert answer.status_code == 400 and answer.json()["error"]


def test_a_row_without_an_end_is_not_read_whole(client, keep, monkeypatch):
    monkeypatch.setattr(tablefile, "LARGEST_ROW", 1 << 12)
    monkeypatch.setattr(tablefile, "PIECE", 1 << 10)
    keep('{"columns": ["a"], "data": [["' + "x" * (1 << 16))

    assert "more than" in client.get(TABLES, params={"name": "t"}).json()["error"]


def test_a_table_that_takes_too_long_is_given_up(tmp_path, monkeypatch):
    (tmp_path / "t").write_text(json.dumps(SMALL))
    table = TableFile(tmp_path / "t")
    monkeypatch.setattr(tablefile, "PATIENCE", -1.0)

    with pytest.raises(NoTable, match="rows were read"):
        list(table.pass_over())
    with pytest.raises(NoTable, match="Download it"):
        TableFile(tmp_path / "t")


@pytest.mark.parametrize(
    "asked", [{"sort": "nope"}, {"filter": "nope>1"}, {"filter": "n"}, {"first": 1000}, {"from": -1}, {"filter": "n~("}]
)
def test_what_cannot_be_asked_of_a_table_is_told(client, keep, asked):
    keep(SMALL)

    answer = client.get(TABLES, params={"name": "t", **asked})

    assert answer.status_code == 400 and answer.json()["error"]


def test_a_file_that_is_not_there(client, run):
    assert client.get(TABLES, params={"name": "nope"}).status_code == 404
    assert client.get(TABLES).status_code == 400


def test_empty_tables_and_rows_of_other_lengths(client, keep):
    keep({"columns": [], "data": []})
    assert page(client)["rows"] == []
    keep({"columns": ["a", "b"], "data": [[1], 5, [1, 2, 3]]})

    assert page(client)["rows"] == [[1], [5], [1, 2, 3]]
    assert page(client, sort="b")["numbers"] == [2, 0, 1]


def test_others_than_numbers_and_texts_are_last():
    assert sorting([None, 2, "a", [1], 1, float("nan"), True], falls=False).tolist() == [4, 6, 1, 2, 0, 3, 5]


CELL = {"_type": "image-file", "path": "media/images/a.png"}


@pytest.fixture
def twice(store, run, keep):
    """A table as W&B's client leaves it: words in the run's file, pictures in an artifact."""
    keep({"columns": ["pic"], "data": [["Image"]]})
    table = json.dumps({"columns": ["pic"], "data": [[CELL]]}).encode()
    files = {"t.table.json": table, "media/images/a.png": b"png"}
    return logged(store, run.project, "run-abc-t", "run_table", files, run, [("r", "s3://b/k")], client_id="c1")


def test_a_table_comes_from_its_artifact_with_its_pictures(client, twice):
    place = {"type": "run_table", "name": "run-abc-t", "version": "v0"}
    for address in (
        "wandb-client-artifact://c1/t.table.json",
        "wandb-client-artifact://c1:latest/t.table.json",
        f"wandb-artifact://{f'Artifact:{twice.id}'.encode().hex()}/t.table.json",
    ):
        answer = page(client, artifact=address)
        assert answer["artifact"] == place and answer["rows"] == [[CELL]]


@pytest.mark.parametrize(
    "address",
    [
        "", "x", "wandb-client-artifact://", "wandb-client-artifact://c2/t.table.json", "wandb-client-artifact://c1/u",
        "wandb-client-artifact://c1/r", "wandb-artifact://zz/t.table.json", "wandb-artifact://41/t.table.json",
        f"wandb-artifact://{b'Run:1'.hex()}/t.table.json", f"wandb-artifact://{b'Artifact:x'.hex()}/t.table.json",
        f"wandb-artifact://{b'Artifact:99999999999999999999999'.hex()}/t.table.json", "wandb-artifact://ff/t.table.json",
    ],
)  # fmt: skip
def test_a_table_without_its_artifact_comes_from_the_run(client, twice, address):
    """There are no pictures then, but the rest is."""
    answer = page(client, artifact=address)

    assert answer["artifact"] is None and answer["rows"] == [["Image"]]


def test_a_table_in_a_deleted_artifact_comes_from_the_run(client, store, twice):
    store.artifacts.delete(twice, with_aliases=True)

    assert page(client, artifact="wandb-client-artifact://c1/t.table.json")["rows"] == [["Image"]]


def test_a_table_of_another_project_is_not_shown_here(client, store, keep):
    keep({"columns": ["pic"], "data": [["Image"]]})
    other = store.runs.project("other", create=True)
    logged(store, other, "t", "run_table", {"t.table.json": b'{"columns": ["x"], "data": [[1]]}'}, client_id="c1")

    assert page(client, artifact="wandb-client-artifact://c1/t.table.json")["rows"] == [["Image"]]
