"""Runs that stop, resume, start again, fail, or only evaluate."""

import signal
from functools import partial
from typing import Any

import torch

from parity.scenarios.kit import SHAPING_HOOKS, Bench, Scenarios, batches, fit, several_loaders
from parity.scenarios.steps import scheduled

SCENARIOS = Scenarios()


two_val = partial(batches, 2, seed=1)


@SCENARIOS
def resume_at_epoch_end(pl, folder):
    """A second process continues from the checkpoint of the first epoch."""
    first = Bench(pl, folder)
    made = first.module(scheduled["step"](first))
    trainer = first.trainer(max_epochs=1)
    trainer.fit(made, batches(3), batches(2, seed=1))
    trainer.save_checkpoint(folder / "one.ckpt")
    bench = Bench(pl, folder)
    made = bench.module(scheduled["step"](bench))
    trainer = bench.trainer(callbacks=[bench.callback()], max_epochs=3)
    trainer.fit(made, batches(3), batches(2, seed=1), ckpt_path=folder / "one.ckpt")
    return bench.record(trainer, made)


def _resumed_from_file(**trigger):
    """Resume from the first file that a ModelCheckpoint with ``trigger`` wrote."""

    def run(pl, folder):
        first = Bench(pl, folder)
        save = pl.callbacks.ModelCheckpoint(dirpath=folder, save_top_k=-1, **trigger)
        trainer = first.trainer(callbacks=[save], enable_checkpointing=True, max_epochs=2, val_check_interval=1.0)
        trainer.fit(first.module(scheduled["step"](first)), batches(4), batches(2, seed=1))
        bench = Bench(pl, folder)
        made = bench.module(scheduled["step"](bench), skip=SHAPING_HOOKS)
        trainer = bench.trainer(callbacks=[bench.callback()], max_epochs=2)
        trainer.fit(made, batches(4), batches(2, seed=1), ckpt_path=min(folder.glob("*.ckpt")))
        return bench.record(trainer, made)

    return run


SCENARIOS["resume_from_epoch_end"] = _resumed_from_file(save_on_train_epoch_end=True)
SCENARIOS["resume_from_validation_end"] = _resumed_from_file(save_on_train_epoch_end=False)
SCENARIOS["resume_from_batch_3"] = _resumed_from_file(every_n_train_steps=3)


@SCENARIOS
def resume_when_finished(pl, folder):
    """Resuming a run that reached its last epoch trains nothing."""
    first = Bench(pl, folder)
    trainer = first.trainer()
    trainer.fit(first.module(), batches(3), batches(2, seed=1))
    trainer.save_checkpoint(folder / "one.ckpt")
    bench = Bench(pl, folder)
    made = bench.module()
    trainer = bench.trainer(callbacks=[bench.callback()])
    trainer.fit(made, batches(3), batches(2, seed=1), ckpt_path=folder / "one.ckpt")
    return bench.record(trainer, made)


@SCENARIOS
def second_fit(pl, folder):
    """A second fit on the same Trainer continues counting; more epochs must be asked for."""
    bench = Bench(pl, folder)
    made = bench.module(skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    trainer.fit(made, batches(2), batches(1, seed=1))
    bench.journal.lines.append("-- second fit, nothing left to do")
    trainer.fit(made, batches(2), batches(1, seed=1))
    bench.journal.lines.append("-- third fit, two more epochs")
    trainer.fit_loop.max_epochs = 3
    trainer.fit(made, batches(3), batches(1, seed=1))
    return bench.record(trainer, made)


@SCENARIOS
def should_stop_in_batch(pl, folder):
    """``should_stop`` ends the epoch after the batch; validation still runs."""

    def module(bench):
        class Stopping(bench.Tiny):
            def on_train_batch_end(self, outputs, batch, batch_idx):
                if self.trainer.current_epoch == 1 and batch_idx == 1:
                    self.trainer.should_stop = True

        return Stopping

    return fit(pl, folder, train=partial(batches, 4), val=two_val, module=module, max_epochs=4)


@SCENARIOS
def should_stop_before_min_epochs(pl, folder):
    """``should_stop`` waits for ``min_epochs``."""

    def module(bench):
        class Stopping(bench.Tiny):
            def on_train_batch_end(self, outputs, batch, batch_idx):
                self.trainer.should_stop = True

        return Stopping

    return fit(pl, folder, val=two_val, module=module, max_epochs=4, min_epochs=2)


@SCENARIOS
def should_stop_before_min_steps(pl, folder):
    """``should_stop`` waits for ``min_steps``, in mid-epoch."""

    def module(bench):
        class Stopping(bench.Tiny):
            def on_train_batch_end(self, outputs, batch, batch_idx):
                self.trainer.should_stop = True

        return Stopping

    return fit(pl, folder, train=partial(batches, 4), val=two_val, module=module, max_epochs=4, min_steps=6)


@SCENARIOS
def should_stop_in_validation(pl, folder):
    """``should_stop`` set at the end of a mid-epoch validation ends the epoch there."""

    def module(bench):
        class Stopping(bench.Tiny):
            def on_validation_end(self):
                if not self.trainer.sanity_checking:
                    self.trainer.should_stop = True

        return Stopping

    return fit(pl, folder, train=partial(batches, 4), val=two_val, module=module, val_check_interval=2, max_epochs=3)


@SCENARIOS
def skip_rest_of_epoch(pl, folder):
    """``on_train_batch_start`` returning -1 skips the rest of the epoch."""

    def module(bench):
        class Skipping(bench.Tiny):
            def on_train_batch_start(self, batch, batch_idx):
                return -1 if batch_idx == 2 else None

        return Skipping

    return fit(pl, folder, train=partial(batches, 4), val=two_val, module=module, max_epochs=2)


def _evaluate(kind: str, several: bool, quiet: bool):
    def run(pl, folder):
        bench = Bench(pl, folder)

        class Logging(several_loaders(bench.Tiny) if several else bench.Tiny):
            def on_validation_epoch_end(self):
                self.log("at_end", 1.0)

            def on_test_epoch_end(self):
                self.log("at_end", 2.0)

        def step(self, batch, batch_idx, dataloader_idx=0):
            self.log("loss", self.loss(batch))

        def single(self, batch, batch_idx):
            self.log("loss", self.loss(batch))

        if kind != "predict":
            setattr(Logging, f"{kind if kind == 'test' else 'validation'}_step", step if several else single)
        module = bench.module(Logging, skip=SHAPING_HOOKS if quiet else ())
        trainer = bench.trainer(callbacks=[bench.callback()])
        loaders = [batches(2, short=1), batches(1, 3, seed=1)] if several else batches(3, short=1)
        options = {} if kind == "predict" else {"verbose": False}
        returned = getattr(trainer, kind)(module, loaders, **options)
        return bench.record(trainer, module, returned=_shape(returned) if kind == "predict" else returned)

    return run


def _shape(outputs: Any) -> Any:
    return [_shape(part) for part in outputs] if isinstance(outputs, list) else outputs.tolist()


for _kind in ("validate", "test", "predict"):
    for _several in (False, True):
        SCENARIOS[f"{_kind}_{'two' if _several else 'one'}"] = _evaluate(_kind, _several, quiet=_several)


@SCENARIOS
def predict_without_return(pl, folder):
    """``return_predictions=False`` returns nothing."""
    bench = Bench(pl, folder)
    module = bench.module(skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    returned = trainer.predict(module, batches(2), return_predictions=False)
    return bench.record(trainer, module, returned=returned)


@SCENARIOS
def predict_by_forward(pl, folder):
    """Without ``predict_step``, predict calls the module."""

    class Plain(pl.LightningModule):
        def forward(self, batch):
            return batch[0].sum()

    bench = Bench(pl, folder)
    module = bench.module(Plain, skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    return bench.record(trainer, module, returned=_shape(trainer.predict(module, batches(2))))


@SCENARIOS
def exception_in_fit(pl, folder):
    """An exception reaches the callbacks and the logger, then the user."""
    bench = Bench(pl, folder)

    class Failing(bench.Tiny):
        def training_step(self, batch, batch_idx):
            if batch_idx == 1:
                raise ArithmeticError("lost")
            return super().training_step(batch, batch_idx)

    module = bench.module(Failing, skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    raised = None
    try:
        trainer.fit(module, batches(3), batches(1, seed=1))
    except ArithmeticError as error:
        raised = str(error)
    return bench.record(trainer, module, raised=raised)


@SCENARIOS
def odd_batch_hooks(pl, folder):
    """Hooks and steps may leave out ``batch_idx`` or ``dataloader_idx``."""
    bench = Bench(pl, folder)
    seen = []

    class Odd(bench.Tiny):
        def training_step(self, batch):
            return self.loss(batch)

        def validation_step(self, batch):
            self.log("loss", self.loss(batch))

        def on_validation_batch_start(self, batch, batch_idx, dataloader_idx=0):
            seen.append([batch_idx, dataloader_idx])

    module = Odd()
    trainer = bench.trainer(num_sanity_val_steps=0)
    trainer.fit(module, batches(2), batches(2, seed=1))
    return bench.record(trainer, module, seen=seen)


@SCENARIOS
def interrupted_from_the_keyboard(pl, folder):
    """Ctrl-C reaches callbacks and loggers; then the process gets to know."""
    bench = Bench(pl, folder)

    class Interrupted(bench.Tiny):
        def training_step(self, batch, batch_idx):
            if batch_idx == 1:
                raise KeyboardInterrupt
            return super().training_step(batch, batch_idx)

    module = bench.module(Interrupted, skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    raised, before = None, signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, batches(3))
    except BaseException as error:
        raised = type(error).__name__
    finally:
        signal.signal(signal.SIGINT, before)
    return bench.record(trainer, module, raised=raised)


@SCENARIOS
def stateful_loader(pl, folder):
    """A loader with a state of its own has it saved in mid-epoch, and loaded before it is asked for batches."""
    events = []

    class Stateful:
        def __init__(self):
            self.position = 0

        def __iter__(self):
            for batch in list(batches(4))[self.position :]:
                self.position += 1
                yield batch
            self.position = 0

        def __len__(self):
            return 4

        def state_dict(self):
            return {"position": self.position}

        def load_state_dict(self, state):
            events.append(state)
            self.position = state["position"]

    first = Bench(pl, folder)
    save = pl.callbacks.ModelCheckpoint(dirpath=folder, every_n_train_steps=2, save_top_k=-1)
    trainer = first.trainer(callbacks=[save], enable_checkpointing=True)
    trainer.fit(first.Tiny(), Stateful())
    path = min(folder.glob("*.ckpt"))
    stored = torch.load(path, weights_only=False)["loops"]["fit_loop"]["state_dict"]
    bench = Bench(pl, folder)
    module = bench.module(skip=SHAPING_HOOKS)
    trainer = bench.trainer(callbacks=[bench.callback()])
    trainer.fit(module, Stateful(), ckpt_path=path)
    return bench.record(trainer, module, stored=stored, events=events)
