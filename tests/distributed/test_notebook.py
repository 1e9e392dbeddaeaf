"""Several processes from the cells of a notebook: a real kernel, without the browser."""

import sys

import pytest

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no fork")]

MODEL = """
import time
import torch
from fulgurite import Callback, LightningModule, Trainer
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.testing import QUIET, batches

torch.set_num_threads(2)
torch.randn(900, 900) @ torch.randn(900, 900)  # threads of OpenMP, which don't survive a fork

class Net(LightningModule):
    def __init__(self, pace=0):
        super().__init__()
        self.layer, self.pace = torch.nn.Linear(4, 1), pace

    def training_step(self, batch, batch_idx):
        time.sleep(self.pace)
        print("TRAINS", flush=True)
        return self.layer(batch).square().mean()

    def validation_step(self, batch, batch_idx):
        self.log("val", self.layer(batch).mean(), sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

net, settings = Net(), {**QUIET, "enable_checkpointing": True}
before = net.layer.weight.sum().item()
trainer = Trainer(devices=2, max_epochs=2, callbacks=[ModelCheckpoint("files", monitor="val")], **settings)
"""
FIT = """
trainer.fit(net, batches(8), batches(4))
trained = before != net.layer.weight.sum().item()
print("TOLD", trainer.strategy.start_method, trainer.global_step, trained, trainer.checkpoint_callback.best_model_path)
"""
AGAIN = """
trainer.max_epochs = 3
trainer.fit(net, batches(8), batches(4))
print("TOLD", trainer.global_step, list(trainer.validate(net, batches(4), verbose=False)[0]))
"""
LONG = """
slow = Trainer(devices=2, max_epochs=2, callbacks=[ModelCheckpoint("slow")], **settings)
slow.fit(Net(pace=0.2), batches(400))
"""
AFTER = """
import os
print("TOLD", slow.state.status, 0 < slow.global_step < 200, len(os.listdir("slow")))
"""


@pytest.fixture
def kernel(tmp_path):
    manager, client = jupyter_client.manager.start_new_kernel(cwd=str(tmp_path))
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def ran(client, code, seen=lambda said: None):
    """What a cell prints and how it ends; ``seen`` is told of what it has printed so far."""
    said = []

    def heard(message):
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])
            seen("".join(said))

    reply = client.execute_interactive(code, timeout=90, output_hook=heard)
    return "".join(said), reply["content"]


def test_cells_that_train_in_two_processes(kernel, tmp_path):
    """A fit, another one on the same Trainer, and the button that interrupts: it ends after a batch, with a file."""
    manager, client = kernel
    pressed = []

    def press(said):
        if "TRAINS" in said and not pressed:
            pressed.append(manager.interrupt_kernel())

    cells = [ran(client, code) for code in (MODEL, FIT, AGAIN)]
    _, ended = ran(client, LONG, press)
    after, _ = ran(client, AFTER)

    assert [reply["status"] for _, reply in cells] == ["ok"] * 3, cells
    assert f"TOLD fork 8 True {tmp_path}/files/epoch" in cells[1][0]
    assert "TOLD 12 ['val']" in cells[2][0]
    assert ended["status"] == "error" and ended["ename"] == "KeyboardInterrupt"
    assert "TOLD interrupted True 1" in after
