"""Which media there are, at which steps, and what stood there at one of them."""

import pytest

RUN = "/api/projects/local/p/runs/abc"
PICTURE = {"_type": "image-file", "path": "a.png"}


def test_keys_tell_their_types(client, store, run):
    """By the summary, or by what was logged last; numbers are no media."""
    store.history.append(
        run.id, [(0, {"said": "hi", "list": [1], "val": {"pic": PICTURE}, "t": {"_type": "table-file"}})]
    )
    store.runs.update(run, summary={"t": {"_type": "joined-table"}, "said": 5, "val": {"pic": "x"}})

    keys = client.get(RUN + "/media").json()["keys"]

    assert {each["name"]: each["type"] for each in keys} == {
        "said": "text", "list": "value", "val.pic": "image-file", "t": "joined-table",
    }  # fmt: skip


def test_steps_of_several_keys(client, store, run):
    store.history.append(run.id, [(step, {"a": "x"}) for step in (1, 5)] + [(step, {"b": "y"}) for step in (2, 5, 9)])

    assert client.get(RUN + "/media/steps", params={"key": ["a", "b", "no"]}).json()["steps"] == [1, 2, 5, 9]


def test_many_steps_are_thinned(client, store, run):
    """From the first to the last one."""
    store.history.append(run.id, [(step, {"a": "x"}) for step in range(30_000)])

    steps = client.get(RUN + "/media/steps", params={"key": "a"}).json()["steps"]

    assert len(steps) == 10_000 and (steps[0], steps[-1]) == (0, 29_999)


def test_a_moment_is_the_last_value_until_then(client, store, run):
    store.history.append(run.id, [(step, {"a": f"at {step}"}) for step in (1, 5, 9)])

    def at(**parameters):
        return client.get(RUN + "/moment", params={"key": "a", **parameters}).json()["values"][0]

    assert at(step=8) == {"key": "a", "step": 5, "value": "at 5"}
    assert at(step=5)["step"] == 5 and at()["value"] == "at 9"
    assert at(step=0) == {"key": "a", "step": None, "value": None}
    store.history.compact(run.id)
    assert at(step=8)["value"] == "at 5"


@pytest.mark.parametrize("path", ["/moment", "/moment?key=a&step=x", "/media/steps", "/moment?" + "key=a&" * 201])
def test_what_cannot_be_asked_of_media_is_told(client, run, path):
    assert client.get(RUN + path).status_code == 400
