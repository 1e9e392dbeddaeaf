"""What Python runs first: puts the stand-in GPU under torch as soon as that is imported."""

import ctypes
import functools
import importlib.util
import os
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

KIND = os.environ.get("STAND_IN_KIND", "cuda")


class Around(MetaPathFinder):
    """Calls ``before(spec)`` and ``after(module)`` when the module ``name`` is first imported."""

    def __init__(self, name, before, after):
        self.name, self.before, self.after = name, before, after

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module):
            self.before(spec)
            run(module)
            self.after(module)

        spec.loader.exec_module = exec_module
        return spec


def load_device(spec):
    # torch looks for devices once, while it is imported.
    ctypes.CDLL(str(Path(spec.origin).parent / "lib" / "libtorch_cpu.so"), ctypes.RTLD_GLOBAL)
    ctypes.CDLL(os.path.join(os.environ["STAND_IN_LIBRARIES"], f"libstand_in_{KIND}.so"))


def install(torch):
    importlib.import_module(f"support.stand_in.torch_{KIND}").install()


def train_there(module):
    """A Trainer that is asked for the CPU takes the GPU."""
    init = module.Trainer.__init__

    @functools.wraps(init)
    def swapped(self, *args, **arguments):
        if arguments.get("accelerator") == "cpu":
            arguments["accelerator"] = KIND
        return init(self, *args, **arguments)

    module.Trainer.__init__ = swapped


if os.environ.get("STAND_IN_LIBRARIES"):
    sys.meta_path.insert(0, Around("torch", load_device, install))
    if os.environ.get("STAND_IN_INSTEAD"):
        sys.meta_path.insert(0, Around("fulgurite.trainer", lambda spec: None, train_there))
