"""The documents against the code: every hook, dependency and example that they speak of is there."""

import ast
import inspect
import re
import tomllib
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from fulgurite import Callback, LightningModule, Trainer
from parity.deviations import DEVIATIONS

ROOT = Path(__file__).parents[2]
NOT_HOOKS = {"on_gpu"}
OTHER_HOOKS = {
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


class Line(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, batch):
        return self.layer(batch).mean()

    def training_step(self, batch, batch_idx):
        return self(batch)

    def validation_step(self, batch, batch_idx):
        self(batch)

    def test_step(self, batch, batch_idx):
        self(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return DataLoader(torch.ones(4, 1))

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader


def hooks(found: type) -> set[str]:
    names = {name for parent in found.__mro__ if parent.__module__.startswith("fulgurite") for name in vars(parent)}
    return {name for name in names if name.startswith("on_") and name not in NOT_HOOKS}


def test_the_reference_of_hooks_names_every_hook():
    """A hook that one can override is in docs/reference/hooks.md, with its place in the loop."""
    text = (ROOT / "docs/reference/hooks.md").read_text()
    known = hooks(Callback) | hooks(LightningModule) | OTHER_HOOKS
    known |= {"setup", "teardown", "state_dict", "load_state_dict"}

    assert {name for name in known if not re.search(rf"\b{name}\b", text)} == set()


def test_the_reference_of_hooks_names_nothing_else():
    """What the reference calls a hook exists, so that nobody overrides a name that is never called."""
    text = (ROOT / "docs/reference/hooks.md").read_text()
    written = {name for name in re.findall(r"\bon_[a-z_]+\b", text) if not name.endswith("_")}
    from_the_logger = {"on_step", "on_epoch"}

    assert written - hooks(Callback) - hooks(LightningModule) - from_the_logger == set()


@pytest.mark.parametrize("run", ["fit", "validate", "test", "predict"])
def test_the_hooks_are_drawn_in_the_order_in_which_they_are_called(run):
    """Each drawing in docs/reference/hooks.md shows what a run of all hooks does, from top to bottom."""
    drawn = [name for name in in_order(drawing_of(run)) if name not in ("state_dict", "load_state_dict")]
    calls: list[str] = []
    module, callback = recording(Line, calls)(), recording(Callback, calls)()
    trainer = Trainer(max_epochs=1, num_sanity_val_steps=0, limit_val_batches=int(run == "validate"), logger=False,
                      callbacks=[callback], enable_checkpointing=False, enable_progress_bar=False,
                      enable_model_summary=False, accelerator="cpu")  # fmt: skip

    getattr(trainer, run)(module)

    called = list(dict.fromkeys(calls))
    assert [name for name in called if name in drawn] == [name for name in drawn if name in called]
    assert len([name for name in called if name in drawn]) >= 8


def drawing_of(run: str) -> str:
    heading = {"fit": "## fit", "validate": "## Validation", "test": "## test", "predict": "## predict"}[run]
    section = (ROOT / "docs/reference/hooks.md").read_text().split(f"\n{heading}")[1]
    return section.split("```text\n")[1].split("```")[0]


def in_order(drawing: str) -> list[str]:
    known = hooks(Callback) | hooks(LightningModule) | OTHER_HOOKS
    return list(dict.fromkeys(name for name in re.findall(r"\w+", drawing) if name in known))


def recording(base: type, calls: list[str]) -> type:
    """A subclass of ``base`` that overrides every hook and notes its name."""

    def noting(name):
        def hook(self, *args, **kwargs):
            calls.append(name)
            return getattr(super(found, self), name)(*args, **kwargs)

        return hook

    names = [name for name in hooks(base) | OTHER_HOOKS if hasattr(base, name)]
    found = type(f"Recording{base.__name__}", (base,), {name: noting(name) for name in names})
    return found


def test_the_reference_of_the_trainer_names_every_argument():
    """docs/reference/trainer.md says what each argument means."""
    text = (ROOT / "docs/reference/trainer.md").read_text()
    arguments = set(inspect.signature(Trainer.__init__).parameters) - {"self"}

    assert {name for name in arguments if f"`{name}`" not in text} == set()


def test_every_dependency_has_its_reason():
    """Whoever adds a package says in docs/dependencies.md what it is for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    names = {re.match(r"[\w-]+", line).group() for line in [*project["dependencies"], *extras]} - {"fulgurite"}
    text = (ROOT / "docs/dependencies.md").read_text()

    assert {name for name in names if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("kind", ["callbacks", "loggers", "profilers", "plugins", "tuner"])
def test_the_page_of_a_piece_shows_its_example(kind):
    """Each example has its page and is put in there. A formatter takes the line in a plain Python block for code."""
    examples = {path.stem for path in (ROOT / "examples" / kind).glob("*.py")}
    shown = {
        path.stem
        for path in (ROOT / "docs/reference" / kind).glob("*.md")
        if f'--8<-- "examples/{kind}/{path.stem}.py"' in path.read_text()
    }

    assert examples == shown


def test_every_deviation_is_told():
    """What the comparison with Lightning allows on purpose stands in COMPAT.md, by its title."""
    text = (ROOT / "COMPAT.md").read_text()
    titles = {re.sub(r" \(\w+\)$", "", deviation.title) for deviation in DEVIATIONS}

    assert {title for title in titles if title not in text} == set()


def test_what_works_with_the_wandb_client_is_shown_by_tests():
    """Each row of the tables in docs/reference/wandb.md names a test that exists."""
    text = (ROOT / "docs/reference/wandb.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|") and line.count(" | ") == 3]
    named = [re.fullmatch(r".*\| `([\w/]+\.py)::(test_\w+)` \|", row) for row in rows if "Shown by" not in row]

    assert len(named) > 60 and None not in named
    assert {match.group() for match in named if match[2] not in functions_of(ROOT / "tests" / match[1])} == set()


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/first-steps.md"])
def test_examples_in_the_documents_run(page, tmp_path):
    """The Python blocks of a page, put together in their order, run to the last line."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    assert blocks

    exec(compile("\n".join(blocks), page, "exec"), {"__name__": "__main__"})
