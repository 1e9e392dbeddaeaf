"""Compiles the stand-in GPUs: devices, which are loaded before torch, and collectives, which are an extension of it."""

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import torch

HERE = Path(__file__).parent
TORCH = Path(torch.__file__).parent

LIBRARIES = {
    "libstand_in_cuda.so": ["device.cpp"],
    "libstand_in_mps.so": ["device.cpp", "-DAPPLE"],
    "stand_in_collectives.so": ["collectives.cpp", "-ltorch_python"],
}


def compiler() -> str | None:
    """What compiles C++ here, if anything does: the environment's ``CXX``, or ``g++``."""
    return shutil.which(os.environ.get("CXX", "g++"))


def built() -> Path:
    """The folder of the libraries, compiled if that was not done yet. Raises ``RuntimeError`` with what g++ says."""
    sources = b"".join(each.read_bytes() for each in sorted(HERE.glob("*.cpp")))
    key = hashlib.sha256(sources + repr(LIBRARIES).encode() + torch.__version__.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"fulgurite-stand-in-{os.getuid()}-{key}"
    if not folder.exists():
        # Next to it and renamed: several test processes may come at once.
        fresh = Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
        jobs = [_compile(fresh / name, *given) for name, given in LIBRARIES.items()]
        said = [(*job.communicate(), job.returncode) for job in jobs]
        for _, problem, code in said:
            if code:
                raise RuntimeError(f"The stand-in GPU does not compile:\n{problem[-4000:]}")
        try:
            fresh.rename(folder)
        except OSError:
            shutil.rmtree(fresh)
    return folder


def _compile(library: Path, source: str, *more: str) -> subprocess.Popen[str]:
    include = [TORCH / "include", TORCH / "include/torch/csrc/api/include", sysconfig.get_path("include")]
    command = [str(compiler()), "-std=c++20", "-w", "-shared", "-fPIC", "-O1", *(f"-I{each}" for each in include)]
    command += ["-o", str(library), str(HERE / source), f"-L{TORCH / 'lib'}", "-lc10", "-ltorch_cpu", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
