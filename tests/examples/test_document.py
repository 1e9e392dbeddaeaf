"""The document's own code blocks, in their order and to the last line, through `fulgurite run`.

`seed.md` is no part of the repository; where it is not beside the checkout, these tests are skipped.
"""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from support.wandb_file import recorded_runs

SHARED = Path(__file__).resolve().parents[3] / "shared"
DOCUMENT = SHARED / "spec" / "seed.md"
ROWS = SHARED / "data" / "nab" / "machine_temperature_system_failure.csv"
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "seed"

pytestmark = [
    pytest.mark.document,
    pytest.mark.skipif(not DOCUMENT.exists(), reason="the document is not beside the checkout"),
    pytest.mark.timeout(280),
]

IMPORTS = """
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

output_path = Path("tables")
"""
# The document's class under the name that its model asks for, with the argument and the target that go with it.
DATASET = """
class TsDataset(MnistDataset):
    def __init__(self, split, data_folder_path, cont_vars, cat_vars, lbl_as_feat):
        assert lbl_as_feat and "value" in cont_vars
        super().__init__(split, data_folder_path, cont_vars, cat_vars, target_var=["target"])

cont_features = ["value", "t"]
cat_features = ["day_of_week", "holiday"]
"""
ENCODER = """
class Encoder(nn.Module):
    def __init__(self, **hparams):
        super().__init__()
        self.hparams = Namespace(**hparams)
        self.embeddings = nn.ModuleList([nn.Embedding(*size) for size in self.hparams.embedding_sizes])
        sizes = [int(s) for s in self.hparams.layer_sizes.split(",")]
        width = sum(size for _, size in self.hparams.embedding_sizes) + len(self.hparams.cont_vars)
        self.layers = nn.Sequential(*[Layer(a, b, self.hparams.batch_norm) for a, b in zip([width] + sizes, sizes)])
        self.mu = nn.Linear(sizes[-1], self.hparams.latent_dim)
        self.logvar = nn.Linear(sizes[-1], self.hparams.latent_dim)

    def forward(self, x_cont, x_cat):
        x = torch.cat([e(x_cat[:, i]) for i, e in enumerate(self.embeddings)] + [x_cont], dim=1)
        h = self.layers(x)
        return self.mu(h), self.logvar(h), x
"""
REPORT = """
import json
json.dump({
    "same_hparams": dict(trained_model.hparams) == dict(hparams),
    "frozen": not any(p.requires_grad for p in trained_model.parameters()) and not trained_model.training,
    "same_weights": all(torch.equal(a.cpu(), b.cpu()) for a, b in zip(trained_model.state_dict().values(),
                                                                  model.state_dict().values())),
    "trainer": type(trainer).__module__,
    "test_loss": float(trainer.callback_metrics["test_loss"]),
}, open("report.json", "w"))
"""

#: What is put before the block that holds the words on the left, since the document leaves it to the reader.
MISSING_PARTS = {
    "class MnistDataset(Dataset)": IMPORTS,
    "class VAE(pl.LightningModule)": "{dataset}\nembed_cats = {embed_cats}\n{encoder}",
    "class LogPredictionsCallback": "ckpt_callback = checkpoint_callback\nwandb_logger = logger\n",
}
#: Blocks that only a Kaggle notebook can run.
LEFT_OUT = ("kaggle_secrets",)
#: The only words that are changed: the number of epochs, for speed, and the device where there is no GPU.
REPLACED = [("epochs = 60,", "epochs = 2,")] + ([] if torch.cuda.is_available() else [("'gpu'", "'cpu'")])


def blocks():
    """The Python blocks of the document, as they stand."""
    found = re.findall(
        r"^( *)```[Pp]ython\n(.*?)^ *```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    return [textwrap.dedent(body) for _, body in found]


def put_together(embed_cats):
    """The document as one script."""
    script = []
    for block in blocks():
        if any(words in block for words in LEFT_OUT):
            continue
        for words, part in MISSING_PARTS.items():
            if words in block:
                filled = {"{dataset}": DATASET, "{encoder}": ENCODER, "{embed_cats}": str(embed_cats)}
                for name, text in filled.items():
                    part = part.replace(name, text)
                script.append(part)
        script.append(block)
    text = "\n".join(script)
    for old, new in REPLACED:
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in the document"
        text = text.replace(old, new)
    return text + REPORT


def tables(folder):
    """`train.csv` and `test.csv` of the machine's temperature (or of a made-up series), and the categories' sizes."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        import data
    finally:
        sys.path.remove(str(EXAMPLE))
        sys.modules.pop("data", None)
    series = data.read_csv(ROWS) if ROWS.exists() else data.made_up_series()
    series.frame = series.frame.tail(3000).reset_index(drop=True)
    return data.write_tables(series, folder / "tables")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder in which the document's script ran to its end, and the finished process."""
    pytest.importorskip("wandb")
    folder = tmp_path_factory.mktemp("document")
    (folder / "script.py").write_text(put_together(tables(folder)))
    # Offline, `wandb.login()` says that it cannot verify anything and returns; it asks nobody.
    offline = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "fulgurite", "run", "script.py"],
        cwd=folder,
        env=dict(os.environ, **offline),
        capture_output=True,
        text=True,
        timeout=270,
    )
    return folder, done


def test_the_document_runs_to_its_last_line(ran):
    """Trained, tested, saved, loaded again and frozen, by Fulgurite's trainer."""
    folder, done = ran

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    report = json.loads((folder / "report.json").read_text())
    assert report["trainer"].startswith("fulgurite.")
    assert report["same_hparams"] and report["frozen"] and report["same_weights"]


def test_its_weights_load_without_trusting_the_file(ran):
    """The checkpoint of a model whose metric fit never logs is there, and holds no arbitrary objects."""
    folder, _ = ran

    checkpoint = torch.load(folder / "model_checkpoints" / "vae_weights.ckpt", weights_only=True)

    assert checkpoint["hyper_parameters"]["layer_sizes"] == "64,128,256,128,64"
    assert "encoder.mu.weight" in checkpoint["state_dict"]


def test_it_warns_once_that_test_loss_is_never_logged(ran):
    """One warning, which names what was logged instead."""
    _, done = ran
    said = [line for line in done.stderr.splitlines() if "test_loss" in line and "Warning" in line]

    assert len(said) == 1, done.stderr[-4000:]
    assert all(name in said[0] for name in ("total_loss", "recon_loss", "kld"))


def test_its_wandb_run_holds_config_losses_and_test_loss(ran):
    """What the document promises of W&B, read back from the run's own file."""
    folder, _ = ran
    (run,) = recorded_runs(folder / "kaggle" / "working" / "checkpoints")
    report = json.loads((folder / "report.json").read_text())

    assert run.config["latent_dim"] == 16 and run.config["epochs"] == 2
    assert run.column("test_loss") == pytest.approx([report["test_loss"]])
    assert run.name == "embsz16_latsz16_bsz128_lay64-128-256-128-64_ep100_cosineWR"
