"""Our own `WandbLogger`, in our own trainer, logs to our own server: in order, and until somebody presses Ctrl-C."""

import hashlib
import os
import signal
import time
from base64 import b64encode

from fulgurite.track.store.errors import NotFound

MODEL = """
import time
from fulgurite import Trainer
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.loggers import WandbLogger
from fulgurite.testing import QUIET, TinyModule, batches

def trainer(logger, epochs, folder):
    keep = ModelCheckpoint(folder, monitor="val_loss", save_top_k=-1, filename="{epoch}")
    options = {**QUIET, "logger": logger, "enable_checkpointing": True, "log_every_n_steps": 1}
    return Trainer(max_epochs=epochs, callbacks=[keep], num_sanity_val_steps=0, **options)
"""

WHOLE = (
    MODEL
    + """
class Model(TinyModule):
    def __init__(self, lr=0.05):
        super().__init__(lr)
        self.save_hyperparameters()

logger = WandbLogger(project="ours", id="whole", name="A whole run", log_model="all", tags=["t"])
model = Model()
run = trainer(logger, 3, "whole")
run.fit(model, batches(4), batches(2))
run.test(model, batches(2))
"""
)

INTERRUPTED = (
    MODEL
    + """
class Endless(TinyModule):
    def training_step(self, batch, batch_idx):
        if self.current_epoch == 5:
            time.sleep(2)
        return super().training_step(batch, batch_idx)

trainer(WandbLogger(project="ours", id="cut", log_model="all"), 9, "cut").fit(Endless(), batches(4), batches(1))
"""
)


def rows(server, name):
    """The rows of a run, or none before it is there."""
    try:
        return server.store.history.rows(server.run(name, "ours").id)
    except NotFound:
        return []


def models(server, name):
    """The committed versions of a run's model: the MD5 of its file, and its aliases."""
    store, run = server.store, server.run(name, "ours")
    collection = store.artifacts.collections.find(run.project, f"model-{name}")
    found = {}
    for member in store.artifacts.members.of(collection):
        (file,) = store.artifacts.contents.entries(member.artifact_id)
        assert file.name == "model.ckpt"
        found[file.digest] = {alias.name for alias in store.artifacts.members.aliases(member.artifact_id)}
    return found


def digests(folder):
    return {b64encode(hashlib.md5(path.read_bytes()).digest()).decode() for path in folder.iterdir()}


def test_a_whole_run(server):
    """Every row on the trainer's axis, every checkpoint as a version, and the end: without a call of `finish`."""
    server.client(WHOLE, name="whole.py")

    run = server.run("whole", "ours")
    said = rows(server, "whole")
    assert [row["trainer/global_step"] for row in said if "loss" in row] == list(range(12))
    assert [row["trainer/global_step"] for row in said if "val_loss" in row] == [3, 7, 11]
    assert [row["trainer/global_step"] for row in said if "test_loss" in row] == [12]
    axis, others = run.facts["_wandb"]["m"]
    assert (axis["1"], others["2"], others["5"]) == ("trainer/global_step", "*", 1)
    assert (run.state, run.exit_code, run.display_name, run.tags) == ("finished", 0, "A whole run", ["t"])
    assert run.config == {"lr": 0.05}
    kept = models(server, "whole")
    assert kept.keys() == digests(server.folder / "whole") and len(kept) == 3
    assert sorted(map(sorted, kept.values())) == [[], [], ["best", "latest"]]


def test_ctrl_c_in_the_middle(server):
    """The batch is finished, and what was logged and saved until then arrives; the run has failed, with the client's
    code for an interrupt. The file that training can go on from is no model of it."""
    process = server.start(INTERRUPTED)
    deadline = time.monotonic() + 90
    while len(rows(server, "cut")) < 25:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the rows of five epochs did not come"
        time.sleep(0.1)

    os.killpg(process.pid, signal.SIGINT)

    said, _ = process.communicate(timeout=90)
    run = server.run("cut", "ours")
    assert process.returncode != 0 and said.endswith("KeyboardInterrupt\n")
    assert (run.state, run.exit_code) == ("failed", 255)
    assert [row["trainer/global_step"] for row in rows(server, "cut") if "loss" in row] == list(range(21))
    kept = models(server, "cut")
    assert len(kept) == 5 and len(digests(server.folder / "cut")) == 6
    assert kept.keys() < digests(server.folder / "cut")
    assert sorted(map(sorted, kept.values()))[-1] == ["best", "latest"]
