"""What ``self.log`` keeps: weighted means, reductions, names, the three dicts, rows, and how little memory it takes."""

import gc
import math
import re
import tracemalloc
import weakref

import pytest
import torch

from fulgurite import Callback, Trainer
from fulgurite.base.errors import MisconfigurationException
from fulgurite.metrics import Metrics, Moment, _fetched, scalars
from fulgurite.testing import QUIET, TinyModule, batches
from support.observed import Noted

pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step`")


class Logs(TinyModule):
    """Calls ``logs(module, batch_idx, loss)`` in each step, and ``ends(module)`` at the end of an epoch."""

    def __init__(self, logs=None, val_logs=None, ends=None):
        super().__init__()
        self.logs, self.val_logs, self.ends = logs, val_logs, ends

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        if self.logs:
            self.logs(self, batch_idx, loss)
        return loss

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        if self.val_logs:
            self.val_logs(self, batch_idx, dataloader_idx)

    test_step = validation_step

    def on_train_epoch_end(self):
        if self.ends:
            self.ends(self)


def fit(model, train=None, val=None, **arguments):
    logger = Noted()
    defaults = {**QUIET, "max_epochs": 1, "log_every_n_steps": 1, "num_sanity_val_steps": 0, "logger": logger}
    trainer = Trainer(**{**defaults, **arguments})
    trainer.fit(model, train or batches(4), val)
    return trainer, logger


def each(items):
    """A loader of exactly these batches; a plain list would be several loaders."""
    return torch.utils.data.DataLoader(items, batch_size=None)


def sized(*sizes):
    """Batches of these sizes."""
    return each([torch.ones(size, 4) for size in sizes])


def only(values):
    return [value for _, value in values]


def test_a_mean_is_weighted_by_the_batch_size():
    """Σ value·size / Σ size, the size found in the batch."""
    _, logger = fit(Logs(lambda m, i, loss: m.log("i", float(i), on_epoch=True)), sized(1, 3, 4))

    assert only(logger.values("i_epoch")) == [(0 * 1 + 1 * 3 + 2 * 4) / 8]
    assert only(logger.values("i_step")) == [0.0, 1.0, 2.0]


def test_a_batch_size_that_is_given_counts_instead():
    """``batch_size`` wins over what the batch shows."""
    _, logger = fit(
        Logs(lambda m, i, loss: m.log("i", float(i), on_step=False, on_epoch=True, batch_size=10**i)), sized(9, 9)
    )

    assert only(logger.values("i")) == [pytest.approx(10 / 11)]


def test_a_batch_without_a_size_needs_one():
    """Only an epoch's mean asks for it."""
    blind = each([object(), object()])
    quiet = Logs(lambda m, i, loss: m.log("i", 1.0))
    quiet.loss = lambda batch: quiet.layer(torch.ones(1, 4, device=quiet.device)).mean()
    fit(quiet, blind)
    asking = Logs(lambda m, i, loss: m.log("i", 1.0, on_epoch=True))
    asking.loss = quiet.loss

    with pytest.raises(MisconfigurationException, match="batch_size"):
        fit(asking, blind)


@pytest.mark.parametrize(
    ("reduce", "whole"),
    [
        ("mean", 2.0), ("avg", 2.0), (torch.mean, 2.0), ("sum", 8.0), (torch.sum, 8.0), ("max", 5.0), (torch.max, 5.0),
        ("min", -1.0), (torch.min, -1.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [float, torch.tensor])
def test_reductions(reduce, whole, kind):
    """Numbers and tensors alike; the dict shows what the row shows."""
    values = [1.0, 5.0, -1.0, 3.0]
    model = Logs(lambda m, i, loss: m.log("x", kind(values[i]), on_step=False, on_epoch=True, reduce_fx=reduce))
    trainer, logger = fit(model)

    assert only(logger.values("x")) == [whole]
    assert trainer.callback_metrics["x"].item() == whole


@pytest.mark.parametrize("reduce", ["median", sum, None, ["mean"]])
def test_other_reductions_are_refused(reduce):
    """The error names the name and the value."""
    with pytest.raises(MisconfigurationException, match=r"self.log\('x', reduce_fx"):
        fit(Logs(lambda m, i, loss: m.log("x", 1.0, reduce_fx=reduce)))


def test_numbers_and_tensors_may_take_turns():
    """The mean of an int, a float, a bool and a tensor."""
    values = [1, 2.0, True, torch.tensor(4.0)]
    _, logger = fit(Logs(lambda m, i, loss: m.log("x", values[i], on_epoch=True)))

    assert only(logger.values("x_epoch")) == [2.0]
    for fx, whole in (("sum", 8.0), ("max", 4.0), ("min", 1.0)):
        flags = {"on_step": False, "on_epoch": True, "reduce_fx": fx}
        _, logger = fit(Logs(lambda m, i, loss, flags=flags: m.log("x", values[i], **flags)))
        assert only(logger.values("x")) == [whole]


def test_the_three_dicts():
    """Which of them a value is in, under which name, during a step and after the epoch."""
    seen = {}

    class Looks(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            seen["step"] = [set(each) for each in views(trainer)]

        def on_train_epoch_end(self, trainer, pl_module):
            seen["epoch"] = [set(each) for each in views(trainer)]

    def views(trainer):
        return trainer.callback_metrics, trainer.logged_metrics, trainer.progress_bar_metrics

    def logs(m, i, loss):
        m.log("plain", loss)
        m.log("both", loss, on_step=True, on_epoch=True, prog_bar=True)
        m.log("hidden", loss, logger=False)
        m.log("late", loss, on_step=False, on_epoch=True)

    trainer, _ = fit(Logs(logs), callbacks=Looks())

    assert seen["step"] == [{"plain", "both", "both_step", "hidden"}, {"plain", "both_step"}, {"both_step"}]
    assert seen["epoch"] == [
        {"plain", "both", "both_step", "both_epoch", "hidden", "late"},
        {"plain", "both_step", "both_epoch", "late"},
        {"both_step", "both_epoch"},
    ]
    assert trainer.callback_metrics["both"] == trainer.callback_metrics["both_epoch"]
    assert isinstance(trainer.progress_bar_metrics["both_epoch"], float)
    assert not trainer.callback_metrics["both"].requires_grad


@pytest.mark.parametrize("several", [False, True])
def test_loaders_get_a_suffix_when_there_are_several(several):
    """In rows, dicts and results; not with ``add_dataloader_idx=False``, where each needs its own name."""

    def logs(m, i, loader):
        m.log("x", float(loader), on_step=True, on_epoch=True)
        m.log(f"own_{loader}", float(loader), add_dataloader_idx=False)

    trainer, logger = fit(Logs(), val=None)
    loaders = [batches(2), batches(1)] if several else batches(2)
    results = trainer.validate(Logs(val_logs=logs), loaders, verbose=False)

    if several:
        assert results == [
            {"x_epoch/dataloader_idx_0": 0.0, "own_0": 0.0}, {"x_epoch/dataloader_idx_1": 1.0, "own_1": 1.0}
        ]  # fmt: skip
        assert set(trainer.callback_metrics) == {
            "x/dataloader_idx_0", "x_epoch/dataloader_idx_0", "x/dataloader_idx_1", "x_epoch/dataloader_idx_1",
            "own_0", "own_1",
        }  # fmt: skip
        assert len(logger.values("x_step/dataloader_idx_0")) == 2
    else:
        assert results == [{"x_epoch": 0.0, "own_0": 0.0}]
        assert set(trainer.callback_metrics) == {"x", "x_epoch", "own_0"}


def test_one_name_for_two_loaders_is_refused():
    """Without the suffix the second would write over the first."""
    trainer, model = (
        Trainer(**QUIET, max_epochs=1),
        Logs(val_logs=lambda m, i, loader: m.log("x", 1.0, add_dataloader_idx=False)),
    )

    with pytest.raises(MisconfigurationException, match="add_dataloader_idx"):
        trainer.validate(model, [batches(1), batches(1)])


@pytest.mark.parametrize("on_epoch", [False, True])
@pytest.mark.parametrize("reduce", ["mean", "sum", "max", "min"])
def test_a_tensor_changed_after_it_was_logged_stays_as_it_was(reduce, on_epoch):
    """``loss /= 2`` in the step, and a buffer that is filled anew, do not reach the row."""

    def logs(m, i, loss):
        with torch.no_grad():
            m.buffer.fill_(float(i + 1))
            m.log("x", m.buffer, on_step=not on_epoch, on_epoch=on_epoch, reduce_fx=reduce)
            m.buffer.mul_(100)

    model = Logs(logs)
    model.register_buffer("buffer", torch.zeros(()))
    _, logger = fit(model, sized(2, 2))
    whole = {"mean": 1.5, "sum": 3.0, "max": 2.0, "min": 1.0}[reduce]

    assert only(logger.values("x")) == ([whole] if on_epoch else [1.0, 2.0])


def test_a_loss_changed_in_place_before_backward():
    """The user may go on with the tensor that was logged."""

    class Halves(TinyModule):
        def training_step(self, batch, batch_idx):
            loss = self.loss(batch)
            self.log("loss", loss, on_step=True, on_epoch=True)
            self.kept = loss.item()
            loss /= 2
            return loss

    model = Halves()
    _, logger = fit(model, batches(1))

    assert only(logger.values("loss_step")) == only(logger.values("loss_epoch")) == [model.kept]


FLAGS = [
    {},
    {"on_epoch": True},
    *({"on_epoch": True, "on_step": False, "reduce_fx": fx} for fx in ("mean", "sum", "max")),
]


@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_a_view_does_not_keep_its_big_tensor_alive(flags):
    """Only the number is kept over the epoch, not the batch of losses that it was taken from."""
    storages = []

    def logs(m, i, loss):
        losses = torch.ones(1000)
        storages.append(weakref.ref(losses.untyped_storage()))
        m.log("x", losses[3], **flags)

    seen = []
    model = Logs(logs)
    model.on_train_batch_end = lambda *_: seen.append(sum(one() is not None for one in storages))
    fit(model)

    assert seen == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("value", "stored", "shown"),
    [
        (torch.tensor(0.1, dtype=torch.float64), torch.float64, 0.1),
        (torch.tensor(0.5, dtype=torch.float16), torch.float32, 0.5),
        (torch.tensor(0.5, dtype=torch.bfloat16), torch.float32, 0.5),
        (torch.tensor(3), torch.float32, 3.0),
        (torch.tensor(True), torch.float32, 1.0),
        (torch.tensor([[2.5]]), torch.float32, 2.5),
        (torch.nn.Parameter(torch.tensor(2.5)), torch.float32, 2.5),
        (3, torch.float32, 3.0),
        (True, torch.float32, 1.0),
        (0.5, torch.float32, 0.5),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:self.log")
def test_types_of_values(value, stored, shown):
    """At least float32, float64 where it was that; one-element tensors become plain; rows hold Python floats."""
    trainer, logger = fit(Logs(lambda m, i, loss: m.log("x", value, on_step=True, on_epoch=True)))

    for name in ("x_step", "x_epoch"):
        assert trainer.logged_metrics[name].dtype is stored and trainer.logged_metrics[name].shape == ()
        assert [type(one) for one in only(logger.values(name))] == [float] * len(logger.values(name))
        assert only(logger.values(name))[0] == shown


def test_numpy_numbers_are_numbers():
    """Scalars and arrays of one element."""
    numpy = pytest.importorskip("numpy")
    values = [numpy.float64(1.0), numpy.float32(2.0), numpy.int64(3), numpy.array([4.0])]
    _, logger = fit(Logs(lambda m, i, loss: m.log("x", values[i], on_epoch=True)))

    assert only(logger.values("x_epoch")) == [2.5]


NO_NUMBERS = [torch.ones(2), torch.ones(0), "loss", None, {"a": 1.0}, [1.0], object()]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_refused(value):
    """The error names the name and what was given."""
    with pytest.raises(ValueError, match=r"self.log\('x'"):
        fit(Logs(lambda m, i, loss: m.log("x", value)))


def test_half_precision_does_not_overflow_over_an_epoch():
    """Means and sums are kept in float32 at least."""
    big = torch.tensor(60000.0, dtype=torch.float16)
    for fx, whole in (("mean", 60000.0), ("sum", 240000.0)):
        flags = {"on_step": False, "on_epoch": True, "reduce_fx": fx}
        _, logger = fit(Logs(lambda m, i, loss, flags=flags: m.log("x", big, **flags)), each([torch.ones(100, 4)] * 4))
        assert only(logger.values("x")) == [whole]


def test_nan_and_infinity_go_through():
    """They are shown as they are; the next epoch begins anew."""

    def logs(m, i, loss):
        m.log("x", float("nan") if m.current_epoch == 0 and i == 1 else 1.0, on_step=True, on_epoch=True)
        m.log("y", torch.tensor(math.inf), on_step=False, on_epoch=True, reduce_fx="max")

    _, logger = fit(Logs(logs), max_epochs=2)

    steps = only(logger.values("x_step"))
    assert math.isnan(steps[1]) and steps[0] == steps[2] == 1.0
    assert math.isnan(only(logger.values("x_epoch"))[0]) and only(logger.values("x_epoch"))[1] == 1.0
    assert only(logger.values("y")) == [math.inf, math.inf]


def test_a_name_that_is_logged_now_and_then():
    """Its mean is over the steps at which it was logged."""
    _, logger = fit(Logs(lambda m, i, loss: m.log("x", float(i), on_step=False, on_epoch=True) if i % 2 else None))

    assert only(logger.values("x")) == [2.0]


def test_the_same_name_twice_in_a_step():
    """Both count for the epoch, the later one is the step's value; other arguments are an error that shows them."""

    def twice(m, i, loss, **second):
        m.log("x", 1.0, on_step=True, on_epoch=True)
        m.log("x", 3.0, **{"on_step": True, "on_epoch": True, **second})

    _, logger = fit(Logs(twice))
    assert (only(logger.values("x_step")), only(logger.values("x_epoch"))) == ([3.0] * 4, [2.0])

    with pytest.raises(MisconfigurationException, match="prog_bar=False then True"):
        fit(Logs(lambda m, i, loss: twice(m, i, loss, prog_bar=True)))


@pytest.mark.parametrize(
    ("flags", "words"),
    [({"on_step": False, "on_epoch": False}, "not useful"), ({"on_step": False}, "not useful")],
)
def test_flags_that_cannot_be_meant(flags, words):
    """A value that would go nowhere is an error."""
    with pytest.raises(MisconfigurationException, match=words):
        fit(Logs(lambda m, i, loss: m.log("x", 1.0, **flags)))


def test_no_steps_at_the_end_of_an_epoch():
    """``on_step=True`` in an epoch hook is an error that names the hook."""
    with pytest.raises(MisconfigurationException, match="on_train_epoch_end"):
        fit(Logs(ends=lambda m: m.log("x", 1.0, on_step=True)))


@pytest.mark.parametrize(
    "hook",
    ["on_fit_start", "on_train_end", "on_validation_end", "setup", "configure_optimizers", "on_save_checkpoint"],
)
def test_hooks_that_belong_to_no_step_cannot_log(hook, tmp_path):
    """The error names the hook."""
    model = TinyModule()
    inner = getattr(model, hook)

    def logs(*args, **kwargs):
        model.log("x", 1.0)
        return inner(*args, **kwargs)

    setattr(model, hook, logs)
    with pytest.raises(MisconfigurationException, match=f"inside `{hook}`"):
        fit(model, val=batches(1), enable_checkpointing=True, default_root_dir=tmp_path)


def test_a_callback_logs_as_the_module_does():
    """With the defaults of the hook; ``log`` is there only during a run."""

    class Own(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.log("mine", float(batch_idx))
            pl_module.log("through", float(batch_idx), on_epoch=True)

        def on_train_epoch_end(self, trainer, pl_module):
            self.log_dict({"a": 1.0, "b": 2.0}, prog_bar=True)

    callback = Own()
    trainer, logger = fit(Logs(), callbacks=callback)

    assert only(logger.values("mine")) == [0.0, 1.0, 2.0, 3.0]
    assert only(logger.values("through_epoch")) == [1.5]
    assert {"a", "b"} <= set(trainer.progress_bar_metrics)
    assert not hasattr(callback, "log")


def test_log_dict_is_log_for_each():
    """Names, flags and errors are the same."""
    _, logger = fit(Logs(lambda m, i, loss: m.log_dict({"a": 1.0, "b": loss}, on_step=False, on_epoch=True)))

    assert len(logger.values("a")) == len(logger.values("b")) == 1
    with pytest.raises(ValueError, match="log_dict"):
        fit(Logs(lambda m, i, loss: m.log("x", {"a": 1.0})))


def test_the_users_own_step_and_epoch():
    """A value named "step" is the row's place and not in it; "epoch" takes the automatic one's place."""

    def ends(m):
        m.log_dict({"step": 100.0 + m.current_epoch, "y": 1.0})

    _, logger = fit(Logs(ends=ends), max_epochs=2)
    assert logger.values("y") == [(100, 1.0), (101, 1.0)] and logger.values("step") == []

    _, logger = fit(Logs(ends=lambda m: m.log_dict({"epoch": 7.5, "y": 1.0})))
    assert only(logger.values("epoch")) == [7.5]


def test_gradients_flow_through_a_logged_value_only_if_asked():
    """``enable_graph=True`` keeps the graph in the dict; otherwise values are detached."""
    seen = []

    class Looks(Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            seen.append((trainer.callback_metrics["a"].requires_grad, trainer.callback_metrics["b"].requires_grad))

    fit(Logs(lambda m, i, loss: (m.log("a", loss), m.log("b", loss, enable_graph=True))), callbacks=Looks())

    assert seen == [(False, True)] * 4


def test_without_a_logger_the_dicts_are_filled_all_the_same(recwarn):
    """``logger=True`` by name warns that there is none."""
    trainer, _ = fit(Logs(lambda m, i, loss: m.log("x", loss, logger=True)), logger=False)

    assert "x" in trainer.logged_metrics
    assert any("no logger" in str(one.message) for one in recwarn)


def test_rows_by_interval_and_window():
    """A row each ``log_every_n_steps`` closed windows, at the window's number, with that batch's value."""
    _, logger = fit(
        Logs(lambda m, i, loss: m.log("i", float(i))), batches(9), log_every_n_steps=2, accumulate_grad_batches=2
    )

    assert logger.values("i") == [(1, 3.0), (3, 7.0)]


def test_metric_objects_reduce_themselves():
    """Means, steps and epochs come from the object, which is reset at the epoch's end and saved with the module."""
    torchmetrics = pytest.importorskip("torchmetrics")

    class Measures(TinyModule):
        def __init__(self):
            super().__init__()
            self.mean = torchmetrics.MeanMetric()

        def training_step(self, batch, batch_idx):
            self.mean(float(batch_idx + 10 * self.current_epoch))
            self.log("m", self.mean, on_step=True, on_epoch=True)
            return self.loss(batch)

    model = Measures()
    _, logger = fit(model, batches(4), max_epochs=2)

    assert only(logger.values("m_step")) == [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0]
    assert only(logger.values("m_epoch")) == [1.5, 11.5]
    assert model.mean.update_count == 0


def test_a_metric_object_must_be_an_attribute():
    """The error says so; ``metric_attribute`` names it where it is elsewhere."""
    torchmetrics = pytest.importorskip("torchmetrics")
    loose = torchmetrics.SumMetric()

    with pytest.raises(MisconfigurationException, match="metric_attribute"):
        fit(Logs(lambda m, i, loss: (loose(1.0), m.log("x", loose))))
    fit(Logs(lambda m, i, loss: (loose(1.0), m.log("x", loose, metric_attribute="loose"))))


def test_thousands_of_steps_take_no_more_memory():
    """Neither Python objects nor tensors pile up over an epoch."""
    marks = {}

    def logs(m, i, loss):
        for index in range(3):
            m.log(f"x{index}", loss, on_step=True, on_epoch=True, prog_bar=True)
        if i in (100, 1000):
            gc.collect()
            tensors = sum(isinstance(one, torch.Tensor) for one in gc.get_objects())
            marks[i] = (tracemalloc.get_traced_memory()[0], tensors)

    item = torch.ones(1, 4)
    tracemalloc.start()
    try:
        fit(Logs(logs), each([item] * 1001), logger=False)
    finally:
        tracemalloc.stop()

    assert marks[1000][0] - marks[100][0] < 100_000
    assert marks[1000][1] <= marks[100][1] + 2


class Marked(torch.autograd.Function):
    """Multiplies by one; its node in the graph holds an object that one can watch."""

    class Node:
        pass

    alive = weakref.WeakSet()

    @staticmethod
    def forward(ctx, value):
        ctx.node = Marked.Node()
        Marked.alive.add(ctx.node)
        return value * 1

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def test_the_dicts_keep_no_graph_alive():
    """Before the next step, the graph of a loss that was logged is gone."""
    seen = []

    class Remembers(TinyModule):
        def training_step(self, batch, batch_idx):
            loss = Marked.apply(self.loss(batch))
            self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True)
            return loss

        def on_train_batch_start(self, batch, batch_idx):
            gc.collect()
            seen.append(len(Marked.alive))

    fit(Remembers())

    assert seen == [0, 0, 0, 0]


def test_scalars_are_floats():
    """Tensors and numbers of a row become Python floats."""
    assert scalars({"a": torch.tensor(1.5), "b": 2, "c": torch.tensor([3.0])}) == {"a": 1.5, "b": 2.0, "c": 3.0}


def test_readings_are_of_one_loader_or_of_all():
    """As evaluation asks for them after each loader."""
    moment = Moment(hook="validation_step", batch=torch.ones(2, 1))
    metrics = Metrics(moment, training=False)
    flags = (False, None, None, None, "mean", False, False, None, True, False)
    for loader in (0, 1):
        moment.begin(torch.ones(2, 1), loader)
        metrics.log("x", float(loader), flags, None, None)

    assert metrics.row(on_step=False) == {
        "x/dataloader_idx_0": torch.tensor(0.0),
        "x/dataloader_idx_1": torch.tensor(1.0),
    }
    assert set(metrics.row(on_step=False, loader=1, every_loader=False)) == {"x/dataloader_idx_1"}
    metrics.reset()
    assert metrics.row(on_step=False) == {}


@pytest.mark.parametrize("widest", [torch.float32, torch.float64])
def test_a_row_leaves_its_device_in_one_copy_no_wider_than_logged(monkeypatch, widest):
    """float64 is used only where it was logged: some devices do not have it."""
    stacked = []
    own = torch.stack
    monkeypatch.setattr(torch, "stack", lambda tensors: stacked.append(own(tensors)) or stacked[-1])

    fetched = _fetched([torch.tensor(0.5), torch.tensor(0.25, dtype=widest)])

    assert (fetched, [one.dtype for one in stacked]) == ([0.5, 0.25], [widest])


@pytest.mark.parametrize("name", ["{", "{}", "{0}", "a{b}c"])
def test_a_name_with_braces_does_not_hide_what_is_wrong(name):
    """It stands in the message as it is, beside the flag and its value."""
    module = Logs(logs=lambda m, i, loss: m.log(name, 1.0, on_step=7))

    with pytest.raises(MisconfigurationException, match=re.escape(f"self.log({name!r}, ..., on_step=7)")):
        fit(module)
