"""Carries `fulgurite run` into the processes that its script starts; Python imports this file by its name at start.

Workers that are spawned (and ranks that are started anew) import the user's script again, so Lightning's names must
mean the same there. Only those: any other Python started by the script is left alone.
"""

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

HERE = os.path.dirname(os.path.abspath(__file__))


def same_job(words: list[str]) -> bool:
    """Whether this process was started by multiprocessing, or to run the same script again."""
    script = os.environ.get("FULGURITE_RUN")
    return any("multiprocessing" in word or script in (word, os.path.abspath(word)) for word in words[1:])


def hand_on() -> None:
    """Run the `sitecustomize` that this one hides, if there is one."""
    elsewhere = [folder for folder in sys.path if os.path.abspath(folder) != HERE]
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(module_from_spec(spec))


if "FULGURITE_RUN" in os.environ:
    if same_job(sys.orig_argv):
        try:
            from fulgurite.compat import install
        except ImportError:
            pass  # another Python, without Fulgurite
        else:
            install()
    else:
        del os.environ["FULGURITE_RUN"]  # and its own children are none of this job either
hand_on()
