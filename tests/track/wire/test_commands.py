"""The `wandb` command, and other ways of the client's into and out of the server."""

import pytest

from support.track_server import KEY

pytestmark = pytest.mark.slow


def test_the_commands_log_in_and_carry_files(server):
    """`wandb login`, `artifact put`, `ls` and `get`, and `pull`."""
    (server.folder / "given.txt").write_text("given")
    server.client("""
        import wandb
        open("kept.txt", "w").write("kept")
        with wandb.init(project="commands", id="c") as run:
            run.save("kept.txt")
    """)
    (server.folder / "kept.txt").unlink()

    assert "Currently logged in as: local" in server.command("login", "--relogin", "--host", server.url, KEY)
    server.command("artifact", "put", "--name", "commands/a", "--type", "dataset", "given.txt")
    assert "a:v0" in server.command("artifact", "ls", "local/commands")
    server.command("artifact", "get", "local/commands/a:latest", "--root", "got")
    server.command("pull", "-p", "commands", "-e", "local", "c")

    assert (server.folder / "got" / "given.txt").read_text() == "given"
    assert (server.folder / "kept.txt").read_text() == "kept"


def test_a_file_of_another_run_is_restored(server):
    said = server.client("""
        import os, wandb
        open("weights.txt", "w").write("weights")
        with wandb.init(project="commands", id="first") as run:
            run.save("weights.txt")
        os.remove("weights.txt")
        with wandb.init(project="commands", id="second"):
            print("RESTORED", wandb.restore("weights.txt", "local/commands/first").read())
    """)

    assert "RESTORED weights" in said


def test_what_is_written_for_tensorboard_arrives(server):
    """`sync_tensorboard=True`: rows at TensorBoard's steps, and the file of events."""
    pytest.importorskip("tensorboard")
    server.client("""
        import wandb
        from torch.utils.tensorboard import SummaryWriter
        with wandb.init(project="commands", id="board", sync_tensorboard=True):
            with SummaryWriter("events") as writer:
                for i in range(10):
                    writer.add_scalar("loss", i / 2, 7 * i)
    """)

    run = server.run("board", "commands")
    rows = server.store.history.rows(run.id)
    assert [(row["global_step"], row["loss"]) for row in rows] == [(7 * i, i / 2) for i in range(10)]
    assert any(file.name.startswith("events/events.out.tfevents") for file in server.store.blobs.files(run.id))


SHARED = """
import os, time, wandb

name = os.environ["NAME"]
shared = wandb.Settings(mode="shared", x_label=name, x_primary=name == "one", x_update_finish_state=name == "one")
with wandb.init(project="commands", id="shared", settings=shared) as run:
    open(name, "w").close()
    deadline = time.monotonic() + 60
    while not (os.path.exists("one") and os.path.exists("two")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for i in range(20):
        run.log({f"of {name}": i})
    while name == "one" and not os.path.exists("done"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
if name == "two":
    open("done", "w").close()
"""


def test_two_processes_write_one_run(server):
    """In the client's shared mode, each under names of its own: all rows are there, and the first one ends the run."""
    writers = [server.start(SHARED, NAME=name) for name in ("one", "two")]
    for writer in writers:
        said, _ = writer.communicate(timeout=120)
        assert writer.returncode == 0, said

    run = server.run("shared", "commands")
    read = server.store.history.read
    assert read(run.id, "of one").values() == read(run.id, "of two").values() == list(range(20))
    assert (run.state, run.exit_code) == ("finished", 0)
