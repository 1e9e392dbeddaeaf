"""What a step costs in Python frames of ours. Counts are the same on every machine, so they can be tests."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import contracts.test_callbacks as contracts_of_callbacks
import contracts.test_loggers as contracts_of_loggers
import fulgurite
from fulgurite import Callback, LightningModule, Trainer
from fulgurite.callbacks import BatchSizeFinder, Checkpoint, LoaderTimeout
from fulgurite.core.logger import DummyLogger
from fulgurite.profilers import PassThroughProfiler, SimpleProfiler
from fulgurite.runtime.hooks import overrides

OURS = str(Path(fulgurite.__file__).parent)
FIRST, LAST = 10, 30


class Regression(LightningModule):
    """A linear model that logs ``logs`` values in each step."""

    def __init__(self, logs: int = 0, **flags: Any) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.logs, self.flags = logs, flags

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = self.layer(batch).pow(2).mean()
        for index in range(self.logs):
            self.log(f"value_{index}", loss, **self.flags)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Watched:
    """A loader of equal batches that calls ``begin`` and ``end`` as batches number FIRST and LAST are fetched."""

    def __init__(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self.begin, self.end = begin, end

    def __len__(self) -> int:
        return LAST + 5

    def __iter__(self) -> Iterator[torch.Tensor]:
        batch = torch.ones(2, 4)
        for index in range(len(self)):
            if index == FIRST:
                self.begin()
            if index == LAST:
                self.end()
            yield batch


def frames_per_step(module: LightningModule, tmp_path: Path, **arguments: Any) -> float:
    """Python calls inside the package, averaged over the steps from FIRST to LAST."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            count += 1

    def begin() -> None:
        sys.setprofile(profile)

    def end() -> None:
        sys.setprofile(None)

    trainer = Trainer(max_epochs=1, default_root_dir=tmp_path, log_every_n_steps=1000, **arguments)
    try:
        trainer.fit(module, Watched(begin, end))
    finally:
        sys.setprofile(None)
    return count / (LAST - FIRST)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_step_costs_at_most_forty_frames(tmp_path: Path) -> None:
    """With the bar, the summary, the checkpoint callback and the logger that a Trainer has by default."""
    assert 0 < frames_per_step(Regression(), tmp_path) <= 40


@pytest.mark.parametrize("flags", [{}, {"prog_bar": True}, {"on_step": True, "on_epoch": True}, {"on_epoch": True}])
def test_a_log_call_costs_at_most_four_frames(tmp_path: Path, flags: dict[str, Any]) -> None:
    """Ten calls against none, so that what a step costs anyway is not counted; the batch's size is found once."""
    silent = frames_per_step(Regression(), tmp_path)
    ten = frames_per_step(Regression(10, **flags), tmp_path)

    assert (ten - silent) / 10 <= 4


def test_a_silent_callback_costs_nothing(tmp_path: Path) -> None:
    """Callbacks that override no hook add no Python frame to a step."""
    alone = frames_per_step(Regression(), tmp_path)
    crowded = frames_per_step(Regression(), tmp_path, callbacks=[Callback() for _ in range(5)])

    assert crowded == alone


def test_nothing_waits_for_the_device_between_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No value leaves its device unless a row or a redraw is due, however much is logged."""
    calls: list[str] = []
    watching = False
    for name in ("item", "cpu", "tolist", "numpy", "__float__", "__bool__"):
        own = getattr(torch.Tensor, name)

        def counted(tensor: torch.Tensor, *args: Any, _own: Any = own, _name: str = name) -> Any:
            if watching:
                calls.append(_name)
            return _own(tensor, *args)

        monkeypatch.setattr(torch.Tensor, name, counted)

    def watch(on: bool) -> None:
        nonlocal watching
        watching = on

    loader = Watched(lambda: watch(True), lambda: watch(False))
    trainer = Trainer(max_epochs=1, default_root_dir=tmp_path, log_every_n_steps=1000, enable_progress_bar=False)
    trainer.fit(Regression(3, prog_bar=True, on_step=True, on_epoch=True), loader)

    assert calls == []


QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
    "enable_checkpointing": False,
}  # fmt: skip
PER_STEP = (
    "on_train_batch_start", "on_train_batch_end", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step", "on_before_zero_grad",
)  # fmt: skip
CALLBACKS = [name for name in vars(contracts_of_callbacks) if name.startswith("Test")]
LOGGERS = [name for name in vars(contracts_of_loggers) if name.startswith("Test")]


class Scheduled(Regression):
    """Has what callbacks ask of a module; its scheduler costs what one costs that a callback puts in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.size = torch.nn.Linear(4, 4), 1

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss = self.layer(self.backbone(batch)).pow(2).mean()
        self.log("val_loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD([each for each in self.parameters() if each.requires_grad], lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.ConstantLR(optimizer)]


@pytest.mark.parametrize("contract", CALLBACKS)
def test_each_callback_costs_only_where_it_listens(contract: str, tmp_path: Path) -> None:
    """Of those that come along, who overrides no hook of a training step adds no frame to it."""
    callback = getattr(contracts_of_callbacks, contract)().make(tmp_path)
    if any(overrides(callback, name, Callback) for name in PER_STEP):
        pytest.skip("it listens to steps")
    if isinstance(callback, LoaderTimeout):
        pytest.skip("it listens to waits, see below")
    if isinstance(callback, BatchSizeFinder):
        pytest.skip("its loaders are the module's, and cannot be watched")
    needs = {"logger": DummyLogger(), "enable_checkpointing": isinstance(callback, Checkpoint)}
    alone = frames_per_step(Scheduled(), tmp_path, **QUIET)
    with_it = frames_per_step(Scheduled(), tmp_path, **{**QUIET, **needs}, callbacks=[callback])

    assert with_it == alone


def test_a_watched_wait_costs_one_frame(tmp_path: Path) -> None:
    """Whoever asks for `LoaderTimeout` has one call more in each step, and no other has."""
    alone = frames_per_step(Regression(), tmp_path, **QUIET)
    watched = frames_per_step(Regression(), tmp_path, **QUIET, callbacks=LoaderTimeout(60))

    # Some looks of the thread that watches may fall into it.
    assert alone < watched <= alone + 2


@pytest.mark.parametrize("contract", LOGGERS)
def test_each_logger_costs_nothing_between_rows(contract: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that writes no row does not know of loggers."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    contract_of = getattr(contracts_of_loggers, contract)()
    logger = contract_of.make_logger(tmp_path / "logs")
    alone = frames_per_step(Regression(3), tmp_path, **QUIET)
    try:
        with_it = frames_per_step(Regression(3), tmp_path, **{**QUIET, "logger": logger})
    finally:
        contract_of.close(logger)

    assert with_it == alone


def test_a_profiler_that_is_off_costs_nothing(tmp_path: Path) -> None:
    """The one that measures nothing is not asked; one that measures is seen."""
    without = frames_per_step(Regression(), tmp_path)
    off = frames_per_step(Regression(), tmp_path, profiler=PassThroughProfiler())
    on = frames_per_step(Regression(), tmp_path, profiler=SimpleProfiler(dirpath=tmp_path))

    assert off == without < on
