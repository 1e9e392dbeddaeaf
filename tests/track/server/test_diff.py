"""How the code of two runs differs."""

import random
import time

import pytest

from fulgurite.track.server.api.hunks import changes, hunks
from support.artifacts import logged

DIFF = "/api/projects/local/p/diff"


@pytest.fixture
def other(store, run):
    return store.runs.open(run.project, "xyz")[0]


def put(store, run, name, text):
    content = text if isinstance(text, bytes) else text.encode()
    store.blobs.put(run.id, name, store.blobs.keep_bytes(content))


def asked(client, **parameters):
    answer = client.get(DIFF, params={"a": "abc", "b": "xyz", **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_files_that_differ_are_told(client, store, run, other):
    """Of the code only: logs and media differ anyway."""
    for each in (run, other):
        put(store, each, "code/same.py", "x")
        put(store, each, "output.log", each.name)
        put(store, each, "requirements.txt", f"torch=={each.id}")
    put(store, run, "code/gone.py", "four")
    put(store, other, "diff.patch", "new")

    found = asked(client)

    assert [(file["name"], file["a"], file["b"]) for file in found["files"]] == [
        ("code/gone.py", 4, None), ("diff.patch", None, 3), ("requirements.txt", 8, 8),
    ]  # fmt: skip
    assert found["same"] == 1


def test_code_that_was_kept_as_an_artifact_is_compared_line_by_line(client, store, run, other):
    """As `log_code` keeps it; a run that kept it as files is compared with it as well."""
    logged(store, run.project, "source", "code", {"train.py": b"lr = 1\n", "same.py": b"x"}, run)
    put(store, other, "code/train.py", "lr = 2\n")
    put(store, other, "code/same.py", "x")
    logged(store, run.project, "weights", "model", {"model.pt": b"w"}, run)

    found = asked(client, name="code/train.py")

    assert [file["name"] for file in found["files"]] == ["code/train.py"] and found["same"] == 1
    assert found["hunks"][0]["lines"] == [["-", "lr = 1"], ["+", "lr = 2"]]


def test_a_change_is_told_with_what_is_around_it(client, store, run, other):
    before = [f"line {number}" for number in range(20)]
    after = [*before[:10], "changed", "added", *before[11:]]
    put(store, run, "code/a.py", "\n".join(before))
    put(store, other, "code/a.py", "\n".join(after))

    (hunk,) = asked(client, name="code/a.py")["hunks"]

    assert (hunk["a"], hunk["b"]) == (8, 8)
    assert [sign for sign, _ in hunk["lines"]] == [*"   ", "-", "+", "+", *"   "]
    assert hunk["lines"][3:6] == [["-", "line 10"], ["+", "changed"], ["+", "added"]]


def test_a_file_of_one_run_is_all_new_or_all_gone(client, store, run, other):
    put(store, run, "code/a.py", "one\ntwo\n")

    assert asked(client, name="code/a.py")["hunks"] == [{"a": 1, "b": 1, "lines": [["-", "one"], ["-", "two"]]}]


def test_what_is_no_text_is_not_compared(client, store, run, other):
    put(store, run, "code/a.so", b"\0\1")
    put(store, other, "code/a.so", b"\0\2")

    found = asked(client, name="code/a.so")

    assert found["binary"] and found["hunks"] == []


@pytest.mark.parametrize("seed", range(30))
def test_the_changes_lead_from_one_text_to_the_other(seed):
    """Whatever was changed, what is told to be equal is, and all lines are there once."""
    draw = random.Random(seed)
    a = [draw.choice("abcdefgh") * draw.randint(1, 3) for _ in range(draw.randint(0, 60))]
    b = [line for line in a if draw.random() > 0.2]
    for _ in range(draw.randint(0, 9)):
        b.insert(draw.randint(0, len(b)), draw.choice(["new", "aa", "z"]))

    told = changes(a, b)

    assert [line for i, j, *_ in told for line in a[i:j]] == a
    assert [line for _, _, k, m, _ in told for line in b[k:m]] == b
    assert all(a[i:j] == b[k:m] for i, j, k, m, equal in told if equal)
    found, more = hunks(a, b)
    signs = "".join(sign for hunk in found for sign, _ in hunk["lines"])
    assert signs.count("-") - signs.count("+") == len(a) - len(b) and not more


@pytest.mark.parametrize("kind", ["alike", "mixed", "other", "two"])
def test_hostile_texts_take_no_longer(kind):
    """Lines that are all alike, shuffled, of two kinds, or have nothing in common."""
    draw, count = random.Random(1), 30_000
    a = {"alike": ["x"] * count, "two": [draw.choice("xy") for _ in range(count)]}.get(
        kind, list(map(str, range(count)))
    )
    b = {"alike": ["x"] * (count // 2), "other": [f"o{line}" for line in a]}.get(kind, draw.sample(a, count))

    start = time.process_time()
    _, more = hunks(a, b)

    assert time.process_time() - start < 10
    assert more  # none of them fits into an answer


def test_many_hostile_gaps_take_no_longer():
    """Stretches of lines that are in both texts hundreds of times, kept apart by lines that are there once."""
    a = [line for gap in range(20) for line in (f"gap {gap}", *["x"] * 900)]
    b = [line for gap in range(20) for line in (f"gap {gap}", *["x", "y"] * 450)]

    start = time.process_time()
    found, more = hunks(a, b, most=100_000)

    assert time.process_time() - start < 10
    assert not more and sum(line[1] == "x" and line[0] != "-" for hunk in found for line in hunk["lines"]) >= 450 * 19


@pytest.mark.parametrize(
    ("asked", "status"),
    [({"a": "abc"}, 400), ({"a": "abc", "b": "no"}, 404), ({"a": "abc", "b": "abc", "name": "../x"}, 400)],
)
def test_what_cannot_be_compared_is_told(client, run, asked, status):
    assert client.get(DIFF, params=asked).status_code == status
