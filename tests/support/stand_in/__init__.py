"""A GPU that is none: torch's dispatch, device checks and collectives of CUDA, with the CPU's kernels on its memory.

torch's CPU build knows the name "cuda" but has no device for it. `device.cpp` registers one: tensors, views, streams, a
generator, pinned memory, and for every operator a way to the CPU's kernel on the same bytes. An operator that is given
tensors of both devices fails, and one that would make the host wait for a GPU is counted, or fails, as
`torch.cuda.set_sync_debug_mode` wants it. `collectives.cpp` gives gloo the name and the manners of NCCL.

It shows that data, weights, optimizers and checkpoints are where they belong, that nothing waits, and that what is
computed is right; it can't show how quick a GPU is, what its own kernels give, or what happens when it is really busy.

A process that is started with `environ()` has it.
"""

import os
from pathlib import Path

from support.stand_in.build import built

HERE = Path(__file__).parent


def environ(devices: int = 1, instead: bool = False, kind: str = "cuda") -> dict[str, str]:
    """The environment of a process with so many GPUs; ``instead`` trains on them what asks for the CPU.

    With ``kind="mps"`` it has the GPU of an Apple computer, which knows no float64.
    """
    path = [str(HERE / "startup"), str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "STAND_IN_LIBRARIES": str(built()),
        "STAND_IN_DEVICES": str(devices),
        "STAND_IN_KIND": kind,
        "STAND_IN_INSTEAD": "1" if instead else "",
    }
