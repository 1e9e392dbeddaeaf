"""What holds for every test: an empty folder to work in, one thread, a known seed, no network, no state left behind."""

import atexit
import gc
import logging
import os
import shutil
import signal
import tempfile

import pytest
import torch
from hypothesis import settings

from fulgurite.base import rank

# A busy machine is no failure, and the same examples are drawn in every run.
settings.register_profile("fulgurite", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("fulgurite")

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")
os.environ.setdefault("MPLBACKEND", "Agg")
# No test, and no process that it starts, writes to the run store in the user's home.
os.environ["FULGURITE_DIR"] = tempfile.mkdtemp(prefix="fulgurite-tests-")
atexit.register(shutil.rmtree, os.environ["FULGURITE_DIR"], ignore_errors=True)
torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A job in the background ignores Ctrl-C, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


MANY = 100_000
"""Objects that are worth to be told apart from the rest."""


def pytest_collection_finish():
    set_aside()


@pytest.fixture(autouse=True, scope="module")
def what_was_imported_is_set_aside():
    """A library as large as MLflow would make each later collection of garbage in this process take a second."""
    yield
    if len(gc.get_objects()) > MANY:
        set_aside()


def set_aside():
    """What is there now is there to stay, and no collection of garbage goes through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Runs write `lightning_logs` and checkpoints to the working folder by default; let that be the test's own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def own_store(tmp_path_factory, monkeypatch):
    """Each test has a run store of its own."""
    folder = tmp_path_factory.mktemp("store")
    monkeypatch.setenv("FULGURITE_DIR", str(folder))
    return folder


@pytest.fixture(autouse=True)
def process_wide_settings_are_put_back():
    """Trainer arguments such as `deterministic` set process-wide switches, and what was said once is not said again."""
    environment = dict(os.environ)
    torch.manual_seed(0)
    rank._warned.clear()
    rank.rank_zero_only.rank = 0
    yield
    logging.disable(logging.NOTSET)
    torch.use_deterministic_algorithms(False)
    torch.set_default_dtype(torch.float32)
    torch.backends.cudnn.benchmark = False
    torch.autograd.set_detect_anomaly(False)
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
