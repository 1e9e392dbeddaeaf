"""Start the real client offline, in a process of its own, and wait for what it has written."""

import os
import subprocess
import sys
import time
from pathlib import Path

from fulgurite.track.wire.offline.runs import OfflineRun

CLIENT = Path(__file__).with_name("offline_client.py")
PATIENCE = 60


def start(what: str, folder: Path, **options) -> subprocess.Popen:
    """Run one of the functions of `offline_client` in ``folder``; the client's own data go below it, too."""
    environment = os.environ | {
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_CONSOLE": "wrap",
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
    }
    environment.pop("WANDB_SERVICE", None)
    return subprocess.Popen([sys.executable, str(CLIENT), what], cwd=folder, env=environment, **options)


def ended(run: OfflineRun) -> OfflineRun:
    """The run, once its end is in the file; the client writes it shortly after its process may have ended."""
    deadline = time.monotonic() + PATIENCE
    while not run.finished:
        assert time.monotonic() < deadline, f"{run.file} has no end"
        time.sleep(0.05)
    return run
