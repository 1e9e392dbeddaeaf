"""The public surface, pinned: a name or an argument that appears or vanishes is seen in the diff of one text file.

After an intended change, write the file anew: `python tests/architecture/test_public_names.py`.
"""

import importlib
import inspect
from pathlib import Path

RECORD = Path(__file__).with_name("public_names.txt")
PACKAGES = ("callbacks", "loggers", "plugins", "plugins.environments", "profilers", "tuner")
FRONTS = ("fulgurite", *(f"fulgurite.{package}" for package in PACKAGES))
# Their own methods are what users call and override.
CLASSES = ("Trainer", "LightningModule", "LightningDataModule", "Callback")


def test_public_names_and_arguments_are_as_recorded():
    """Whoever changes what users import, pass or override does so knowingly."""
    assert surface().splitlines() == RECORD.read_text().splitlines()


def surface() -> str:
    lines = []
    for front in FRONTS:
        module = importlib.import_module(front)
        lines += [f"# {front}", *sorted(module.__all__), ""]
    for name in CLASSES:
        found = getattr(importlib.import_module("fulgurite"), name)
        lines += [f"# {name}", *sorted(members(found)), ""]
    return "\n".join(lines)


def members(found: type) -> list[str]:
    """One line for each member that a reader of the class may use, with the arguments where it is called."""
    ours = [parent for parent in found.__mro__ if parent.__module__.startswith("fulgurite")]
    names = {name for parent in ours for name in vars(parent) if not name.startswith("_")}
    return [f"__init__{arguments(found.__init__)}", *(line(found, name) for name in names)]


def line(found: type, name: str) -> str:
    member = inspect.getattr_static(found, name)
    if isinstance(member, classmethod | staticmethod):
        member = member.__func__
    return f"{name}{arguments(member)}" if inspect.isfunction(member) else name


def arguments(function: object) -> str:
    signature = inspect.signature(function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


if __name__ == "__main__":
    RECORD.write_text(surface())
