"""The documents against the code: every hook, dependency and example that they speak of is there."""

import re
import tomllib
from pathlib import Path

import pytest

from fulgurite import Callback, LightningModule

ROOT = Path(__file__).parents[2]
NOT_HOOKS = {"on_gpu"}
MODULE_HOOKS_BY_OTHER_NAMES = {
    "backward",
    "configure_callbacks",
    "configure_gradient_clipping",
    "configure_model",
    "configure_optimizers",
    "lr_scheduler_step",
    "optimizer_step",
    "optimizer_zero_grad",
    "predict_dataloader",
    "predict_step",
    "prepare_data",
    "setup",
    "teardown",
    "test_dataloader",
    "test_step",
    "train_dataloader",
    "training_step",
    "transfer_batch_to_device",
    "val_dataloader",
    "validation_step",
}


def hooks(found: type) -> set[str]:
    names = {name for parent in found.__mro__ if parent.__module__.startswith("fulgurite") for name in vars(parent)}
    return {name for name in names if name.startswith("on_") and name not in NOT_HOOKS}


def test_the_reference_of_hooks_names_every_hook():
    """A hook that one can override is in docs/reference/hooks.md, with its place in the loop."""
    text = (ROOT / "docs/reference/hooks.md").read_text()
    known = hooks(Callback) | hooks(LightningModule) | MODULE_HOOKS_BY_OTHER_NAMES
    known |= {"setup", "teardown", "state_dict", "load_state_dict"}

    assert {name for name in known if not re.search(rf"\b{name}\b", text)} == set()


def test_the_reference_of_hooks_names_nothing_else():
    """What the reference calls a hook exists, so that nobody overrides a name that is never called."""
    text = (ROOT / "docs/reference/hooks.md").read_text()
    written = {name for name in re.findall(r"\bon_[a-z_]+\b", text) if not name.endswith("_")}
    from_the_logger = {"on_step", "on_epoch"}

    assert written - hooks(Callback) - hooks(LightningModule) - from_the_logger == set()


def test_every_dependency_has_its_reason():
    """Whoever adds a package says in docs/dependencies.md what it is for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    names = {re.match(r"[\w-]+", line).group() for line in [*project["dependencies"], *extras]} - {"fulgurite"}
    text = (ROOT / "docs/dependencies.md").read_text()

    assert {name for name in names if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/first-steps.md"])
def test_examples_in_the_documents_run(page, tmp_path):
    """The Python blocks of a page, put together in their order, run to the last line."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    assert blocks

    exec(compile("\n".join(blocks), page, "exec"), {"__name__": "__main__"})
