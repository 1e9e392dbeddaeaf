"""Whatever a run streams is taken: what can be read as rows, the rest as files; and no answer ends the upload."""

import gzip
import json
import math
import os

import pytest

from fulgurite.track.store.errors import NotFound
from fulgurite.track.wire.bodies import TooLarge, Unreadable, unpacked
from fulgurite.track.wire.filestream import console_line


def history(*rows, offset=0):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return {"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}}


def unread(server, run):
    files = [file for file in server.store.blobs.files(run.id) if file.name.startswith("unread/")]
    return [server.store.blobs.path(file.blob.sha256).read_bytes() for file in files]


def test_a_run_that_nobody_knows_is_made(server):
    """The client may have reached another server first: a refusal would end its upload."""
    assert server.stream("stranger", history({"_step": 0, "a": 1}), project="new one") == (
        200,
        {"exitcode": None, "limits": {}},
    )

    assert server.run("stranger", "new one").row_count == 1


def test_rows_sent_again_are_there_once(server):
    """At other offsets, too: what counts is the step."""
    for offset in (0, 0, 7):
        server.stream("again", history({"_step": 0, "a": 1}, {"_step": 1, "a": 2}, offset=offset))

    assert server.store.history.rows(server.run("again").id) == [{"_step": 0, "a": 1}, {"_step": 1, "a": 2}]


@pytest.mark.parametrize(
    "bad",
    [
        '{"_step": 1,',
        '{"a": 1}',
        '{"_step": NaN}',
        '{"_step": "x"}',
        '{"_step": 1e40}',
        f'{{"_step": {2**63}}}',
        "[1]",
        "null",
        '{"_step": 1}, {"_step": 2}',
        '{"_step": 1, "a": ' + "[" * 50_000,
    ],
)
def test_a_line_that_is_no_row_is_set_aside_and_the_others_are_kept(server, bad):
    """A 503 would have it sent again for a week, a 400 would end the run's upload."""
    name = f"bad{abs(hash(bad))}"

    status, _ = server.stream(name, history({"_step": 0, "a": 1}, bad, {"_step": 9, "a": math.inf}))

    run = server.run(name)
    assert status == 200
    assert server.store.history.rows(run.id) == [{"_step": 0, "a": 1}, {"_step": 9, "a": math.inf}]
    assert unread(server, run) == [bad.encode(errors="surrogatepass")]


def test_a_name_that_is_no_text_costs_no_other_row(server):
    """Half a character is valid in JSON, and no database takes it."""
    status, _ = server.stream("half", history({"_step": 0, "a": 1}, '{"\\ud800": 1, "_step": 1}', {"_step": 2, "a": 3}))

    run = server.run("half")
    assert (status, server.store.history.read(run.id, "a").values()) == (200, [1, 3])


def test_a_run_that_was_deleted_while_it_ran_stays_out_of_sight(server):
    """What it still sends is there when it is brought back."""
    server.stream("hidden", history({"_step": 0, "a": 1}))
    run = server.run("hidden")
    server.store.runs.delete([run])

    server.stream("hidden", history({"_step": 1, "a": 2}))
    config = json.dumps({"lr": {"value": 1}, "_wandb": {"value": {"e": {"w": {}}}}})
    change = (
        'mutation U($c: JSONString) { upsertBucket(input: {name: "hidden", modelName: "p", config: $c}) { inserted } }'
    )
    server.ask(change, c=config)

    with pytest.raises(NotFound):
        server.run("hidden")
    server.store.runs.restore([run])
    assert server.run("hidden").row_count == 2 and server.run("hidden").config == {"lr": 1}


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe", b"7"])
def test_a_body_that_is_no_object_is_set_aside(server, body):
    name = f"body{body.hex()}"

    status, _ = server.post(f"/files/local/p/{name}/file_stream", body)

    assert status == 200
    assert unread(server, server.run(name)) == [body]


def test_parts_of_odd_shapes_are_set_aside(server):
    files = {"wandb-history.jsonl": [1], "output.log": {"offset": "x", "content": ["a"]}, "other.txt": {"content": []}}

    status, _ = server.stream("odd", {"files": files, "exitcode": "?", "complete": True})

    run = server.run("odd")
    assert (status, run.state, run.exit_code) == (200, "failed", 1)
    assert len(unread(server, run)) == 3


def test_an_empty_body_is_a_sign_of_life(server):
    status, _ = server.post("/files/local/p/alive/file_stream", b"")

    assert status == 200
    assert server.run("alive").state == "running"


def test_a_packed_body_is_unpacked(server):
    body = gzip.compress(json.dumps(history({"_step": 3, "a": 1})).encode())

    status, _ = server.post("/files/local/p/packed/file_stream", body, content_encoding="gzip")

    assert (status, server.run("packed").row_count) == (200, 1)


def test_a_body_that_grows_without_end_is_not_unpacked():
    """A megabyte of packed zeros is a gigabyte: no more than the limit is ever unpacked."""
    bomb = gzip.compress(bytes(1 << 24))

    with pytest.raises(TooLarge, match="of more than 1000000 bytes"):
        unpacked(bomb, 1_000_000)
    with pytest.raises(Unreadable, match="ends in the middle"):
        unpacked(bomb[:-20])
    with pytest.raises(Unreadable, match="not packed with gzip"):
        unpacked(b"plain")


def test_ten_megabytes_are_taken(server):
    """As much as the client sends at once, on either address."""
    text = os.urandom(5_000_000).hex()

    assert server.stream("large", history({"_step": 0, "text": text}))[0] == 200
    assert server.ask("query Q($text: String) { viewer { username } }", text=text) == {
        "data": {"viewer": {"username": "local"}}
    }
    assert server.store.history.rows(server.run("large").id)[0]["text"] == text


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"query": 1}', b"{}", b'{"query": "{a}", "variables": [1]}', b"\xff"]
)
def test_a_document_that_is_none_is_refused_with_a_reason(server, body):
    """The client sends no such thing; whoever did is told what is wrong."""
    status, answer = server.post("/graphql", body)

    assert status == 400
    assert answer["errors"][0]["message"]


def test_addresses_for_the_clients_own_telemetry_are_not_there(server):
    """The client stops to send it when it hears so."""
    assert server.post("/sdk/otel/v1/metrics", b"")[0] == 404
    assert server.post("/sdk/otel/v1/logs", b"")[0] == 404


def test_a_preempted_run_says_so(server):
    """It was about to be taken off its machine; unless it still ends well, it was."""
    server.stream("taken", {"preempting": True})
    server.stream("taken", history({"_step": 0}))
    assert server.run("taken").state == "preempting"

    server.stream("taken", {"complete": True, "exitcode": 1})

    assert server.run("taken").state == "preempted"


@pytest.mark.parametrize(
    ("text", "stream", "written_at", "label", "line"),
    [
        ("2026-11-23T06:57:10.409943 hello", "stdout", "2026-11-23T06:57:10.409943", None, "hello"),
        ("ERROR 2026-11-23T06:57:10 [rank 1] oh: no\n", "stderr", "2026-11-23T06:57:10", "rank 1", "oh: no"),
        ('{"level":"error","ts":"2026-11-23T07:15","label":"","content":"x"}', "stderr", "2026-11-23T07:15", None, "x"),
        ("no time at all", "stdout", None, None, "no time at all"),
        ("{not json", "stdout", None, None, "{not json"),
        ("\ud800", "stdout", None, None, "?"),
    ],
)
def test_console_lines_of_all_forms_are_read(text, stream, written_at, label, line):
    read = console_line(0, text)

    assert (read.stream, read.written_at, read.label, read.line) == (stream, written_at, label, line)
