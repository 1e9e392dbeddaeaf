"""What ``self.log`` makes of a value: rows sent to loggers, the three metric dictionaries, returned results."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from parity.scenarios.kit import Bench, Scenarios, all_metrics, batches, plain, several_loaders, stream

SCENARIOS = Scenarios()

PEEKS = """
    on_train_start on_train_epoch_start on_train_batch_start on_train_batch_end
    on_validation_start on_validation_batch_start on_validation_batch_end on_validation_epoch_end on_validation_end
    on_train_epoch_end on_train_end on_fit_end
""".split()


def peeking(pl: Any, seen: list) -> Any:
    """Return a callback that notes the trainer's metric dictionaries at each hook, where they changed."""

    class Peek(pl.Callback):
        def __init__(self) -> None:
            self.last: dict = {}

        def look(self, hook: str, trainer: Any) -> None:
            if trainer.sanity_checking:
                return
            metrics = all_metrics(trainer)
            if metrics != self.last:
                seen.append([hook, metrics])
            self.last = metrics

    for name in PEEKS:
        setattr(Peek, name, lambda self, trainer, *args, _name=name: self.look(_name, trainer))
    return Peek()


def logging_module(bench: Bench, train: Callable | None, val: Callable | None, hooks: dict[str, Callable]) -> Any:
    """Return a Tiny whose steps call ``train(module, loss, batch_idx)`` and ``val(...)``; ``hooks`` override others."""

    class Logging(bench.Tiny):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            if train:
                train(self, loss, batch_idx)
            return loss

        def validation_step(self, batch, batch_idx):
            if val:
                val(self, self.loss(batch), batch_idx)

        test_step = validation_step

    for name, function in hooks.items():
        setattr(Logging, name, function)
    return Logging


uneven_batches = partial(batches, 3, short=1)
uneven_val_batches = partial(batches, 2, short=1, seed=1)


def run(
    pl,
    folder,
    *,
    train=None,
    val=None,
    hooks=None,
    module=None,
    data=uneven_batches,
    val_data=uneven_val_batches,
    callbacks=None,
    peek=True,
    **options,
) -> dict[str, Any]:
    """Fit a module that logs; keep rows, metrics and what a callback saw of them on the way."""
    bench = Bench(pl, folder)
    cls = (module or partial(logging_module, train=train, val=val, hooks=hooks or {}))(bench)
    seen: list = []
    watchers = [peeking(pl, seen)] if peek else []
    watchers += callbacks(pl) if callbacks else []
    trainer = bench.trainer(**{"max_epochs": 2, **options, "callbacks": watchers})
    trainer.fit(cls(), data(), val_data() if val_data else None)
    return {"rows": bench.logger.rows, "seen": seen, "metrics": all_metrics(trainer), "calls": bench.logger.calls}


def add(name: str, **options: Any) -> None:
    SCENARIOS[name] = partial(run, **options)


def loss(**flags: Any) -> Callable:
    """Return a step that logs the loss with ``flags``."""
    return lambda module, value, batch_idx: module.log("loss", value, **flags)


def where(name: str, **flags: Any) -> Callable:
    """Return a hook that logs a number telling when it was called."""
    return lambda self, *args: self.log(name, float(self.global_step), **flags)


add("train_default", train=loss())
add("train_epoch_only", train=loss(on_step=False, on_epoch=True))
add("train_forked", train=loss(on_step=True, on_epoch=True))
add("train_forked_prog_bar", train=loss(on_step=True, on_epoch=True, prog_bar=True))
add("train_prog_bar", train=loss(prog_bar=True))
add("train_no_logger", train=loss(on_epoch=True, logger=False))
add("val_default", val=loss())
add("val_step_only", val=loss(on_step=True, on_epoch=False))
add("val_forked", val=loss(on_step=True, on_epoch=True))
add("val_forked_prog_bar", val=loss(on_step=True, on_epoch=True, prog_bar=True))
add("val_forked_in_mid_epoch", val=loss(on_step=True, on_epoch=True), train=loss(), val_check_interval=2)
add("train_and_val_same_name", train=loss(on_epoch=True), val=loss())
add("train_and_val", train=loss(), val=lambda m, value, i: m.log("val", value))
add("no_loggers", train=loss(on_epoch=True, prog_bar=True), val=loss(), logger=False)

for _every in (0, 1, 2, 3, 50):
    add(f"every_{_every}", train=loss(on_epoch=True), data=partial(batches, 5), log_every_n_steps=_every)
    add(
        f"every_{_every}_accumulating",
        train=loss(on_epoch=True),
        data=partial(batches, 5),
        log_every_n_steps=_every,
        accumulate_grad_batches=2,
        val_data=None,
    )

for _reduce in ("mean", "min", "max", "sum"):
    add(f"reduce_{_reduce}", train=loss(on_epoch=True, reduce_fx=_reduce), val=loss(reduce_fx=_reduce))
add("reduce_function", train=loss(on_epoch=True, reduce_fx=torch.max))
add("batch_size_given", train=loss(on_epoch=True, batch_size=5), val=lambda m, v, i: m.log("v", v, batch_size=1 + i))
add("uneven_mean", train=loss(on_epoch=True), data=partial(batches, 3, 4, short=3), val=loss())


def _sometimes(module, value, batch_idx):
    if batch_idx % 3 == 1:
        module.log("sometimes", value)
    module.log("always", value)


add("sometimes", train=_sometimes, data=partial(batches, 7))
add("sometimes_every_2", train=_sometimes, data=partial(batches, 7), log_every_n_steps=2)
add(
    "sometimes_alone",
    train=lambda m, v, i: m.log("rare", v) if i % 3 == 1 else None,
    data=partial(batches, 7),
    val_data=None,
)
add(
    "sometimes_epoch_mean",
    train=lambda m, v, i: m.log("rare", v, on_step=True, on_epoch=True) if i % 3 == 1 else None,
    data=partial(batches, 7),
    val_data=None,
)
add(
    "only_first_epoch",
    train=lambda m, v, i: m.log("early", v, on_epoch=True) if m.current_epoch == 0 else None,
    val=lambda m, v, i: m.log("early_val", v) if m.current_epoch == 0 else None,
    max_epochs=3,
)

_EPOCH_HOOKS = "on_train_start on_train_epoch_start on_train_epoch_end".split()
_VAL_HOOKS = "on_validation_start on_validation_epoch_start on_validation_epoch_end".split()
_STEP_HOOKS = "on_train_batch_start on_train_batch_end on_before_zero_grad on_before_backward on_after_backward".split()
for _hook in (*_EPOCH_HOOKS, *_VAL_HOOKS, *_STEP_HOOKS, "on_before_optimizer_step"):
    add(f"in_{_hook}", hooks={_hook: where("w")})
for _hook in ("on_validation_batch_start", "on_validation_batch_end"):
    add(f"in_{_hook}", hooks={_hook: lambda self, batch, i, *rest: self.log("w", 1.0 + float(self.global_step))})
add("in_on_train_epoch_end_prog_bar", hooks={"on_train_epoch_end": where("w", prog_bar=True)})
add("in_batch_end_forked", hooks={"on_train_batch_end": where("w", on_step=True, on_epoch=True)})


@SCENARIOS
def in_optimizer_step(pl, folder):
    """The optimizer's overridable hooks may log."""

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
        optimizer.step(closure=optimizer_closure)
        self.log("in_step", float(batch_idx))

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        self.log("in_clipping", float(self.global_step))

    def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
        optimizer.zero_grad()
        self.log("in_zero_grad", float(batch_idx))

    def backward(self, loss):
        loss.backward()
        self.log("in_backward", float(self.global_step), on_epoch=True)

    hooks = [optimizer_step, configure_gradient_clipping, optimizer_zero_grad, backward]
    return run(pl, folder, hooks={hook.__name__: hook for hook in hooks})


def _callback_logging(pl):
    class Logs(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.log("from_callback", float(batch_idx))
            pl_module.log("through_module", float(batch_idx), on_epoch=True)

        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0):
            self.log("val_from_callback", float(batch_idx))

        def on_train_epoch_end(self, trainer, pl_module):
            self.log_dict({"at_end": 1.0, "epoch_was": float(trainer.current_epoch)}, prog_bar=True)

        def on_validation_epoch_end(self, trainer, pl_module):
            pl_module.log("val_at_end", 3.0)

    return [Logs()]


add("from_callback", callbacks=_callback_logging)


def _directly_to_logger(pl):
    class Writes(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            pl_module.logger.log_metrics({"direct": 1.0}, step=trainer.global_step)

    return [Writes()]


add("directly_to_logger", callbacks=_directly_to_logger, train=loss())
add("user_step", train=lambda m, v, i: m.log_dict({"loss": v, "step": 100.0 + i}))
add("user_epoch", train=lambda m, v, i: m.log_dict({"loss": v, "epoch": 0.5}))
add("user_step_in_val", val=lambda m, v, i: m.log_dict({"v": v, "step": 7.0, "epoch": 0.25}))
add("user_step_at_epoch_end", hooks={"on_train_epoch_end": lambda self: self.log_dict({"e": 1.0, "step": 9.0})})


def _twice(module, value, batch_idx):
    module.log("twice", value, on_step=True, on_epoch=True)
    module.log("twice", value + 1, on_step=True, on_epoch=True)


add("twice_in_a_hook", train=_twice)
add(
    "two_hooks_one_name",
    train=lambda m, v, i: m.log("w", v),
    hooks={"on_train_batch_end": where("w"), "on_train_epoch_end": where("w")},
)
add("two_hooks_one_name_epoch", train=loss(on_step=False, on_epoch=True), hooks={"on_train_epoch_end": where("loss")})
add("val_two_hooks_one_name", val=lambda m, v, i: m.log("w", v), hooks={"on_validation_epoch_end": where("w")})


def _kinds(module, value, batch_idx):
    module.log("int", batch_idx)
    module.log("float", batch_idx / 2)
    module.log("bool", batch_idx == 1)
    module.log("int_tensor", torch.tensor(batch_idx))
    module.log("bool_tensor", torch.tensor(batch_idx == 1))
    module.log("one_element", torch.tensor([0.25 * batch_idx]))
    module.log("half", torch.tensor(0.1, dtype=torch.float16))
    module.log("double", torch.tensor(0.1, dtype=torch.float64))
    module.log("int_epoch", batch_idx, on_step=False, on_epoch=True, prog_bar=True)
    module.log("nan", float("nan") if batch_idx == 1 else 1.0, on_epoch=True)


add("kinds_of_value", train=_kinds, peek=False)
add("kinds_of_value_prog_bar", train=lambda m, v, i: m.log("n", i, prog_bar=True), val=lambda m, v, i: m.log("i", i))


@SCENARIOS
def types_of_stored(pl, folder):
    """What kind of object the three dictionaries hold."""
    bench = Bench(pl, folder)
    seen = []

    def train(module, value, batch_idx):
        module.log("tensor", value, prog_bar=True)
        module.log("int", batch_idx, prog_bar=True)
        module.log("double", torch.tensor(0.5, dtype=torch.float64), prog_bar=True)
        module.log("half", torch.tensor(0.5, dtype=torch.float16), prog_bar=True, on_epoch=True)

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            for kind in ("callback_metrics", "logged_metrics", "progress_bar_metrics"):
                for name, value in getattr(trainer, kind).items():
                    tensor = isinstance(value, torch.Tensor)
                    what = (
                        f"{value.dtype} {tuple(value.shape)} {value.requires_grad}" if tensor else type(value).__name__
                    )
                    seen.append([kind, name, what])

    trainer = bench.trainer(callbacks=[Look()])
    trainer.fit(logging_module(bench, train, None, {})(), batches(1))
    return {"seen": seen}


@SCENARIOS
def several_val_loaders(pl, folder):
    """With several loaders names get a suffix, unless refused; hooks without a loader get none."""

    def module(bench):
        class Several(several_loaders(bench.Tiny)):
            def validation_step(self, batch, batch_idx, dataloader_idx=0):
                value = self.loss(batch)
                self.log("loss", value)
                self.log("forked", value, on_step=True, on_epoch=True, prog_bar=True)
                self.log(f"own_{dataloader_idx}", value, add_dataloader_idx=False)

            def on_validation_epoch_end(self):
                self.log("all", 1.0)

        return Several

    return run(pl, folder, module=module, val_data=lambda: [batches(2, seed=1), batches(1, 3, seed=2)])


def _evaluate(kind: str, several: bool):
    def evaluate(pl, folder):
        bench = Bench(pl, folder)

        class Evaluated(several_loaders(bench.Tiny) if several else bench.Tiny):
            pass

        def body(self, batch):
            value = self.loss(batch)
            self.log("loss", value)
            self.log("forked", value, on_step=True, on_epoch=True)
            self.log("step_only", value, on_step=True, on_epoch=False)
            self.log("bar", value, prog_bar=True, logger=False)

        def one(self, batch, batch_idx):
            body(self, batch)

        def many(self, batch, batch_idx, dataloader_idx=0):
            body(self, batch)

        def at_end(self):
            self.log("at_end", 4)

        stage = "validation" if kind == "validate" else "test"
        setattr(Evaluated, f"{stage}_step", many if several else one)
        setattr(Evaluated, f"on_{stage}_epoch_end", at_end)
        trainer = bench.trainer()
        loaders = [batches(2, short=1), batches(1, 3, seed=1)] if several else batches(3, short=1)
        module = Evaluated()
        first = getattr(trainer, kind)(module, loaders, verbose=False)
        second = getattr(trainer, kind)(module, loaders, verbose=False)
        types = sorted({type(value).__name__ for part in first for value in part.values()})
        record = {"rows": bench.logger.rows, "metrics": all_metrics(trainer), "calls": bench.logger.calls}
        return {**record, "first": first, "second": second, "types": types}

    return evaluate


for _kind in ("validate", "test"):
    for _several in (False, True):
        SCENARIOS[f"{_kind}_{'two' if _several else 'one'}"] = _evaluate(_kind, _several)


@SCENARIOS
def nothing_logged_in_test(pl, folder):
    """Results are one empty dict per loader when nothing is logged."""
    bench = Bench(pl, folder)
    trainer = bench.trainer()
    one = trainer.test(bench.Tiny(), batches(1), verbose=False)
    two = trainer.test(several_loaders(bench.Tiny)(), [batches(1), batches(1)], verbose=False)
    return {"one": one, "two": two, "rows": bench.logger.rows}


@SCENARIOS
def validate_after_fit(pl, folder):
    """Rows of a validation after a fit; the dictionaries start empty."""
    bench = Bench(pl, folder)
    step = loss(on_step=True, on_epoch=True)
    module = logging_module(bench, step, step, {})()
    trainer = bench.trainer(max_epochs=2)
    trainer.fit(module, batches(3), batches(2, seed=1))
    after_fit = all_metrics(trainer)
    validated = trainer.validate(module, batches(2, seed=1), verbose=False)
    tested = trainer.test(module, batches(2, seed=1), verbose=False)
    return {
        "rows": bench.logger.rows,
        "fit": after_fit,
        "results": [validated, tested],
        "metrics": all_metrics(trainer),
    }


@SCENARIOS
def two_loggers(pl, folder):
    """Every logger gets every row."""
    first, second = Bench(pl, folder), Bench(pl, folder)
    trainer = first.trainer(logger=[first.logger, second.logger], max_epochs=2)
    trainer.fit(logging_module(first, loss(on_epoch=True), loss(), {})(), batches(2), batches(1, seed=1))
    return {"first": first.logger.rows, "second": second.logger.rows}


@SCENARIOS
def csv_files(pl, folder):
    """The CSV logger writes one line per step; its columns are all names seen."""
    bench = Bench(pl, folder)
    logger = pl.loggers.CSVLogger(folder, name="runs", version=3)
    trainer = bench.trainer(logger=logger, max_epochs=2)
    trainer.fit(logging_module(bench, loss(on_epoch=True), loss(), {})(), batches(2), batches(1, seed=1))
    lines = (folder / "runs/version_3/metrics.csv").read_text().splitlines()
    table = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    cells = [{key: float(cell) for key, cell in sorted(row.items()) if cell} for row in table]
    return {"columns": sorted(lines[0].split(",")), "lines": cells, "log_dir": str(trainer.log_dir)[len(str(folder)) :]}


def _metrics_module(body: Callable, *, on: str = "training"):
    def module(bench):
        import torchmetrics

        class Measured(bench.Tiny):
            def __init__(self):
                super().__init__()
                self.mean = torchmetrics.MeanMetric()
                self.peak = torchmetrics.MaxMetric()
                self.many = torchmetrics.MetricCollection(
                    {"mse": torchmetrics.MeanSquaredError(), "mae": torchmetrics.MeanAbsoluteError()}, prefix="m_"
                )

        step = f"{on}_step"
        plainly = getattr(Measured, step)

        def logged(self, batch, batch_idx):
            body(self, batch, self.loss(batch))
            return plainly(self, batch, batch_idx)

        setattr(Measured, step, logged)
        return Measured

    return module


def _by_forward(module, batch, value):
    module.mean(value)
    module.log("mean", module.mean, on_step=True, on_epoch=True)


def _by_update(module, batch, value):
    module.mean.update(value)
    module.peak.update(value)
    module.log("mean", module.mean, on_step=False, on_epoch=True, prog_bar=True)
    module.log("peak", module.peak, on_step=False, on_epoch=True)


def _collection(module, batch, value):
    module.many(module(batch[0]), batch[1].float())
    module.log_dict(module.many, on_step=True, on_epoch=True)


def _collection_epoch(module, batch, value):
    module.many.update(module(batch[0]), batch[1].float())
    module.log_dict(module.many, on_step=False, on_epoch=True)


def _step_value(module, batch, value):
    module.log("mean", module.mean(value))


for _name, _body in {
    "forward": _by_forward,
    "update": _by_update,
    "collection": _collection,
    "collection_epoch": _collection_epoch,
    "step_value": _step_value,
}.items():
    add(f"metric_{_name}", module=_metrics_module(_body))
    add(f"metric_{_name}_in_val", module=_metrics_module(_body, on="validation"))


@SCENARIOS
def metric_logged_at_epoch_end(pl, folder):
    """A metric object logged in ``on_train_epoch_end`` is computed and reset."""

    def module(bench):
        def at_end(self):
            self.log("mean", self.mean)

        cls = _metrics_module(lambda m, batch, value: m.mean.update(value))(bench)
        cls.on_train_epoch_end = at_end
        return cls

    return run(pl, folder, module=module)


@SCENARIOS
def without_trainer(pl, folder):
    """Logging outside a Trainer does nothing and raises nothing."""
    module = Bench(pl, folder).Tiny()
    return {"returned": plain(module.log("loss", 1.0))}


add("stream", train=loss(on_epoch=True), val=loss(), data=partial(stream, 3), val_data=partial(stream, 2, seed=1))
add("max_steps", train=loss(on_epoch=True), val=loss(), max_steps=5, max_epochs=3, log_every_n_steps=2)
add(
    "should_stop_writes_the_row",
    train=loss(),
    hooks={"on_train_batch_end": lambda self, *args: setattr(self.trainer, "should_stop", args[-1] == 1)},
    data=partial(batches, 4),
    log_every_n_steps=50,
)
add("val_every_batch", train=loss(on_epoch=True), val=loss(), val_check_interval=1)
add("val_every_2_epochs", train=loss(), val=loss(), check_val_every_n_epoch=2, max_epochs=4)
add("fast_dev_run", train=loss(on_epoch=True, prog_bar=True), val=loss(), fast_dev_run=True)
add("last_batch_logged_only_at_interval", train=loss(), data=partial(batches, 5), log_every_n_steps=3, val_data=None)


@SCENARIOS
def enable_graph(pl, folder):
    """``enable_graph`` keeps no graph in what is stored."""
    return run(pl, folder, train=loss(enable_graph=True), val_data=None)


@SCENARIOS
def dict_batches(pl, folder):
    """The batch size for the mean is found in nested batches; all loaders' batches count for train dicts."""
    return run(
        pl,
        folder,
        train=loss(on_epoch=True),
        data=lambda: {"a": batches(3, 2, short=1), "b": batches(3, 2, short=1, seed=2)},
    )
