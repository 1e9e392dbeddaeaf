"""The real client with keys: a writer logs, a reader looks, and anybody else hears at once what is missing."""

import pytest

from support.track_server import served

LOG = """
import wandb
run = wandb.init(project="p", id="theirs")
run.log({"a": 1})
run.finish()
"""
READ = """
import wandb
print([run.id for run in wandb.Api().runs("local/p")], wandb.Api().viewer.username)
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that demands keys, with one run, and the keys of a writer and a reader."""
    with served(tmp_path_factory.mktemp("guarded")) as server:
        keys = {role: server.store.users.add(f"the-{role}", role) for role in ("writer", "reader")}
        server.client(LOG, WANDB_API_KEY=keys["writer"])
        yield server, keys


def test_a_writers_run_arrives(guarded):
    server, _ = guarded

    assert server.run("theirs").state == "finished"
    assert server.store.history.read(server.run("theirs").id, "a").values() == [1]


def test_a_reader_reads_what_others_logged(guarded):
    server, keys = guarded

    assert server.client(READ, WANDB_API_KEY=keys["reader"]).split() == ["['theirs']", "the-reader"]


@pytest.mark.parametrize(
    ("who", "said"), [("reader", "a reader's key does not allow"), ("nobody", "fulgurite ui keys add")]
)
def test_others_hear_at_once_what_is_missing(guarded, who, said):
    """In the client's own error, instead of minutes of attempts."""
    server, keys = guarded
    script = """
import wandb
try:
    wandb.init(project="p", id="not-theirs")
except Exception as error:
    print(error)
"""

    assert said in server.client(script, WANDB_API_KEY=keys.get(who, "local-" + "z" * 40))
    assert [run.name for run in server.store.runs.all(server.store.runs.project("p"))] == ["theirs"]
