"""What `torch.mps` asks its C++ half, asked of the stand-in device. Installed once torch is imported."""

import torch
import torch.backends.mps
import torch.mps

from support.stand_in import storages

GIB = 2**30
ASKED = {
    "_mps_is_available": lambda: True,
    "_mps_is_on_macos_or_newer": lambda major, minor: True,
    "_mps_get_default_generator": lambda: torch.ops.stand_in.generator(0),
    "_mps_get_name": lambda: "stand-in",
    "_mps_get_core_count": lambda: 1,
    "_mps_deviceSynchronize": lambda: None,
    "_mps_emptyCache": lambda: None,
    "_mps_setMemoryFraction": lambda fraction: None,
    "_mps_currentAllocatedMemory": lambda: 0,
    "_mps_driverAllocatedMemory": lambda: 0,
    "_mps_recommendedMaxMemory": lambda: 16 * GIB,
    "_has_mps": True,
}


def install() -> None:
    for name, value in ASKED.items():
        setattr(torch._C, name, value)
    torch.backends.mps.is_available.cache_clear()
    storages.install("mps", 1)
