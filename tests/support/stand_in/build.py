"""Compiles the stand-in GPU: its device, which is loaded before torch, and its collectives, an extension of torch."""

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


def compiler() -> str | None:
    """What compiles C++ here, if anything does: the environment's ``CXX``, or ``g++``."""
    return shutil.which(os.environ.get("CXX", "g++"))


def built() -> Path:
    """The folder of both libraries, compiled if that was not done yet. Raises ``RuntimeError`` with what g++ says."""
    sources = [HERE / "device.cpp", HERE / "collectives.cpp"]
    key = hashlib.sha256(b"".join(each.read_bytes() for each in sources) + torch.__version__.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"fulgurite-stand-in-{os.getuid()}-{key}"
    if not folder.exists():
        # Next to it and renamed: several test processes may come at once.
        fresh = Path(tempfile.mkdtemp(prefix=folder.name, dir=folder.parent))
        jobs = [_compile(source, fresh) for source in sources]
        said = [(job.args[-1], *job.communicate(), job.returncode) for job in jobs]
        for name, _, problem, code in said:
            if code:
                raise RuntimeError(f"The stand-in GPU does not compile ({name}):\n{problem[-4000:]}")
        try:
            fresh.rename(folder)
        except OSError:
            shutil.rmtree(fresh)
    return folder


def _compile(source: Path, folder: Path) -> subprocess.Popen[str]:
    library = folder / {"device.cpp": "libstand_in.so", "collectives.cpp": "stand_in_collectives.so"}[source.name]
    include = [TORCH / "include", TORCH / "include/torch/csrc/api/include", sysconfig.get_path("include")]
    libraries = ["-lc10", "-ltorch_cpu", *(["-ltorch_python"] if source.name == "collectives.cpp" else [])]
    command = [str(compiler()), "-std=c++20", "-w", "-shared", "-fPIC", "-O1", *(f"-I{each}" for each in include)]
    command += [f"-L{TORCH / 'lib'}", "-o", str(library), str(source), *libraries]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
