"""On what machine figures were measured: it stands beside them."""

import os
import platform
from typing import Any

import torch


def machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
