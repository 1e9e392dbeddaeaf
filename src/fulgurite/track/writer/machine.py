"""On what a run runs: machine, interpreter, program. Found out once, under the names of W&B's metadata file."""

import getpass
import os
import platform
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from fulgurite.track.writer.gpu import gpus


def machine() -> dict[str, Any]:
    """Host, system, interpreter, processors, memory and GPUs."""
    found: dict[str, Any] = {
        "host": socket.gethostname(),
        "os": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "executable": sys.executable,
        "cpu_count_logical": os.cpu_count(),
    }
    with suppress(Exception):
        found["username"] = getpass.getuser()
    with suppress(ImportError):
        # Late: an extra.
        import psutil

        found["cpu_count"] = psutil.cpu_count(logical=False)
        found["memory"] = {"total": str(psutil.virtual_memory().total)}
    with gpus() as cards, suppress(Exception):
        if cards:
            found["gpu_nvidia"] = [card.facts() for card in cards]
            found["gpu"], found["gpu_count"] = found["gpu_nvidia"][0]["name"], len(cards)
    return found


def program(started: float) -> dict[str, Any]:
    """The script or module that runs, its arguments and folder, and when it began (``started``, seconds since 1970)."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    name = f"-m {spec.name}" if spec is not None else getattr(main, "__file__", None) or "<interactive>"
    return {
        "program": name,
        "args": sys.argv[1:],
        "root": os.getcwd(),
        "startedAt": datetime.fromtimestamp(started, UTC).isoformat().replace("+00:00", "Z"),
    }
