"""The Trainer's arguments: what is refused and how, where they come from, and what they do to a run."""

from datetime import timedelta

import pytest
import torch

from fulgurite import Callback, Trainer
from fulgurite.base.errors import MisconfigurationException, MissingExtra
from fulgurite.base.optional import available
from fulgurite.callbacks import EarlyStopping, ModelCheckpoint, ModelSummary, Timer, TQDMProgressBar
from fulgurite.precision import Precision
from fulgurite.strategies import SingleDeviceStrategy
from fulgurite.testing import QUIET, TinyModule, batches
from support.observed import Noted

pytestmark = [
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
    pytest.mark.filterwarnings("ignore:Neither max_epochs"),
    pytest.mark.filterwarnings("ignore:overfit_batches is set"),
]


def quiet(**arguments):
    return Trainer(**{**QUIET, "max_epochs": 1, **arguments})


WRONG = [
    ({"accelerator": "gpus"}, ValueError, ["'gpus'", "'cpu'", "'auto'"]),
    ({"accelerator": "gpu"}, MisconfigurationException, ["gpu"]),
    ({"accelerator": "tpu"}, MisconfigurationException, ["tpu"]),
    ({"devices": 0}, MisconfigurationException, ["0"]),
    ({"devices": "0"}, MisconfigurationException, ["'0'"]),
    ({"devices": []}, MisconfigurationException, ["[]"]),
    # A GPU has an index for it, all of them.
    pytest.param({"devices": -1}, TypeError, ["-1", "cpu"], marks=pytest.mark.cpu),
    ({"devices": "two"}, Exception, ["'two'"]),
    ({"num_nodes": 0}, ValueError, ["0", "at least 1"]),
    ({"num_nodes": 1.0}, ValueError, ["1.0"]),
    ({"strategy": "dpp"}, ValueError, ["'dpp'", "'ddp'", "'auto'"]),
    ({"strategy": "fsdp_native"}, ValueError, ["In place of 'fsdp_native' use 'fsdp'."]),
    ({"strategy": "xla"}, MisconfigurationException, ["'xla'", "not supported yet"]),
    ({"strategy": "deepspeed_stage_4"}, ValueError, ["'deepspeed_stage_4'", "Did you mean 'deepspeed_stage_"]),
    ({"precision": "31"}, ValueError, ["'31'", "16-mixed", "bf16-true"]),
    ({"precision": 8}, ValueError, ["8", "32-true"]),
    ({"precision": 32, "plugins": Precision()}, ValueError, ["precision=32", "plugin"]),
    ({"plugins": [Precision(), Precision()]}, MisconfigurationException, ["more than one Precision"]),
    ({"plugins": "apex"}, MisconfigurationException, ["apex", "Precision"]),
    ({"logger": "csv"}, MisconfigurationException, ["logger="]),
    ({"logger": 1}, MisconfigurationException, ["logger=1", "Logger"]),
    ({"callbacks": [print]}, MisconfigurationException, ["no Callback"]),
    ({"callbacks": 3}, MisconfigurationException, ["callbacks=3"]),
    ({"callbacks": [EarlyStopping("a"), EarlyStopping("a")]}, RuntimeError, ["EarlyStopping", "state_key"]),
    ({"fast_dev_run": -1}, MisconfigurationException, ["fast_dev_run=-1"]),
    ({"fast_dev_run": 1.5}, MisconfigurationException, ["fast_dev_run=1.5"]),
    ({"max_epochs": -2}, MisconfigurationException, ["max_epochs=-2", "-1"]),
    ({"max_epochs": 1.5}, MisconfigurationException, ["max_epochs=1.5", "int"]),
    ({"max_epochs": "3"}, MisconfigurationException, ["max_epochs='3'"]),
    ({"max_epochs": True}, MisconfigurationException, ["max_epochs=True"]),
    ({"min_epochs": -1}, MisconfigurationException, ["min_epochs=-1"]),
    ({"max_steps": -2}, MisconfigurationException, ["max_steps=-2", "-1"]),
    ({"max_steps": None}, MisconfigurationException, ["max_steps=None", "-1"]),
    ({"min_steps": -5}, MisconfigurationException, ["min_steps=-5"]),
    ({"max_time": "1 hour"}, MisconfigurationException, ["'1 hour'", "DD:HH:MM:SS"]),
    ({"max_time": {"fortnights": 1}}, MisconfigurationException, ["fortnights", "weeks"]),
    ({"max_time": 3}, (MisconfigurationException, TypeError), ["3"]),
    *(
        ({f"limit_{name}_batches": wrong}, MisconfigurationException, [f"limit_{name}_batches", str(wrong)])
        for name in ("train", "val", "test", "predict")
        for wrong in (-1, 1.5, -0.1, float("nan"))
    ),
    ({"limit_train_batches": "half"}, (MisconfigurationException, TypeError), ["'half'"]),
    ({"limit_train_batches": True}, (MisconfigurationException, TypeError), ["True"]),
    ({"overfit_batches": -1}, MisconfigurationException, ["overfit_batches", "-1"]),
    ({"overfit_batches": 1.5}, MisconfigurationException, ["overfit_batches", "1.5"]),
    ({"val_check_interval": 0}, MisconfigurationException, ["val_check_interval=0"]),
    ({"val_check_interval": -1}, MisconfigurationException, ["val_check_interval=-1"]),
    ({"val_check_interval": 1.5}, MisconfigurationException, ["val_check_interval=1.5", "[0.0, 1.0]"]),
    ({"val_check_interval": float("nan")}, MisconfigurationException, ["nan"]),
    ({"val_check_interval": "1h"}, MisconfigurationException, ["'1h'", "DD:HH:MM:SS"]),
    ({"val_check_interval": [1]}, MisconfigurationException, ["[1]"]),
    ({"check_val_every_n_epoch": 0}, MisconfigurationException, ["check_val_every_n_epoch=0"]),
    ({"check_val_every_n_epoch": 0.5}, MisconfigurationException, ["check_val_every_n_epoch=0.5"]),
    ({"check_val_every_n_epoch": None}, MisconfigurationException, ["val_check_interval must be an int"]),
    ({"num_sanity_val_steps": -2}, MisconfigurationException, ["num_sanity_val_steps=-2"]),
    ({"log_every_n_steps": -1}, MisconfigurationException, ["log_every_n_steps=-1"]),
    ({"enable_checkpointing": False, "callbacks": ModelCheckpoint()}, MisconfigurationException, ["ModelCheckpoint"]),
    ({"enable_progress_bar": False, "callbacks": TQDMProgressBar()}, MisconfigurationException, ["TQDMProgressBar"]),
    (
        {"enable_progress_bar": True, "callbacks": [TQDMProgressBar(), TQDMProgressBar()]},
        MisconfigurationException,
        ["2 were given"],
    ),
    ({"accumulate_grad_batches": 0}, MisconfigurationException, ["accumulate_grad_batches=0"]),
    ({"accumulate_grad_batches": -1}, MisconfigurationException, ["accumulate_grad_batches=-1"]),
    ({"accumulate_grad_batches": 1.5}, MisconfigurationException, ["accumulate_grad_batches=1.5"]),
    ({"accumulate_grad_batches": None}, MisconfigurationException, ["accumulate_grad_batches=None"]),
    ({"accumulate_grad_batches": {0: 2}}, MisconfigurationException, ["accumulate_grad_batches={0: 2}"]),
    ({"gradient_clip_val": "1"}, TypeError, ["gradient_clip_val='1'"]),
    ({"gradient_clip_val": -1.0}, MisconfigurationException, ["gradient_clip_val=-1.0"]),
    ({"gradient_clip_val": float("nan")}, MisconfigurationException, ["nan"]),
    ({"gradient_clip_algorithm": "l2"}, MisconfigurationException, ["'l2'", "'norm'", "'value'"]),
    ({"deterministic": "yes"}, ValueError, ["'yes'", "'warn'"]),
    ({"benchmark": "yes"}, (ValueError, TypeError, MisconfigurationException), ["'yes'"]),
    ({"reload_dataloaders_every_n_epochs": -1}, MisconfigurationException, ["reload_dataloaders_every_n_epochs=-1"]),
    ({"profiler": "simples"}, MisconfigurationException, ["'simples'"]),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "kind", "words"), WRONG)
def test_wrong_values_are_refused_when_the_trainer_is_made(arguments, kind, words):
    """The error names the argument's value and what would do."""
    if arguments == {"accelerator": "gpu"} and (torch.cuda.is_available() or torch.backends.mps.is_available()):
        pytest.skip("there is a GPU")

    with pytest.raises(kind) as caught:
        Trainer(**{**QUIET, "max_epochs": 1, **arguments})

    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("max_epoch", "max_epochs"), ("acelerator", "accelerator"), ("limit_train_batch", "limit_train_batches"),
        ("epochs", "max_epochs"), ("accumulate_grad_batch", "accumulate_grad_batches"),
        ("val_interval", "val_check_interval"),
        ("gpus", "devices"), ("num_processes", "devices"), ("tpu_cores", "tpu"), ("ipus", "accelerator"),
        ("auto_select_gpus", "devices"), ("resume_from_checkpoint", "ckpt_path"),
        ("checkpoint_callback", "enable_checkpointing"), ("progress_bar_refresh_rate", "TQDMProgressBar"),
        ("process_position", "TQDMProgressBar"), ("weights_summary", "enable_model_summary"),
        ("auto_lr_find", "Tuner"), ("auto_scale_batch_size", "Tuner"), ("amp_backend", "precision"),
        ("amp_level", "precision"), ("track_grad_norm", "on_before_optimizer_step"),
        ("replace_sampler_ddp", "use_distributed_sampler"), ("multiple_trainloader_mode", "CombinedLoader"),
        ("move_metrics_to_cpu", "self.log"), ("terminate_on_nan", "NonFiniteGuard"),
        ("weights_save_path", "ModelCheckpoint"), ("log_gpu_memory", "DeviceStatsMonitor"),
        ("reload_dataloaders_every_epoch", "reload_dataloaders_every_n_epochs"),
        ("distributed_backend", "strategy"), ("stochastic_weight_avg", "StochasticWeightAveraging"),
        ("flush_logs_every_n_steps", "CSVLogger"), ("truncated_bptt_steps", "training_step"),
        ("prepare_data_per_node", "prepare_data_per_node"), ("model_registry", "ckpt_path"),
    ],
)  # fmt: skip
def test_unknown_arguments_are_told_what_to_write(given, meant):
    """Misspellings get the nearest name, arguments of older releases what took their place."""
    with pytest.raises(TypeError) as caught:
        Trainer(**{given: 1})

    assert repr(given) in str(caught.value)
    assert meant in str(caught.value).replace(repr(given), "")


def test_positional_arguments_are_refused():
    """All arguments are keyword-only."""
    with pytest.raises(TypeError, match="positional"):
        Trainer("cpu")


def test_the_environment_fills_in_what_is_left_out(monkeypatch):
    """Literals are read as such, words as words; what the script says goes before."""
    for name, value in {
        "MAX_EPOCHS": "7", "ACCELERATOR": "cpu", "LIMIT_TRAIN_BATCHES": "0.5", "LOGGER": "False", "MAX_STEPS": "9",
        "GRADIENT_CLIP_VAL": "None",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"PL_TRAINER_{name}", value)

    trainer = Trainer(max_steps=3)

    assert (trainer.max_epochs, trainer.max_steps, trainer.limit_train_batches) == (7, 3, 0.5)
    assert (trainer.loggers, trainer.gradient_clip_val) == ([], None)


def test_wrong_values_of_the_environment_are_refused(monkeypatch):
    """They are checked like others."""
    monkeypatch.setenv("PL_TRAINER_MAX_EPOCHS", "many")

    with pytest.raises(MisconfigurationException, match="max_epochs='many'"):
        Trainer()


def test_defaults_are_lightnings():
    """As read off a new Trainer."""
    trainer = Trainer(logger=False)

    assert (trainer.max_epochs, trainer.min_epochs, trainer.max_steps, trainer.min_steps) == (1000, None, -1, None)
    assert {getattr(trainer, f"limit_{name}_batches") for name in ("train", "val", "test", "predict")} == {1.0}
    assert (trainer.val_check_interval, trainer.check_val_every_n_epoch, trainer.num_sanity_val_steps) == (1.0, 1, 2)
    assert (trainer.log_every_n_steps, trainer.accumulate_grad_batches, trainer.precision) == (50, 1, "32-true")
    assert (trainer.gradient_clip_val, trainer.gradient_clip_algorithm, trainer.overfit_batches) == (None, None, 0.0)
    assert [type(one) for one in trainer.callbacks] == [TQDMProgressBar, ModelSummary, ModelCheckpoint]
    assert (trainer.global_step, trainer.current_epoch, trainer.state.status) == (0, 0, "initializing")
    assert trainer.lightning_module is None and trainer.num_training_batches == float("inf")


@pytest.mark.parametrize(
    ("arguments", "epochs"),
    [({}, 1000), ({"max_steps": 5}, -1), ({"max_time": "00:00:00:10"}, -1), ({"max_epochs": -1}, -1)],
)
def test_the_epoch_limit_left_out(arguments, epochs):
    """1000, unless something else bounds the run."""
    assert Trainer(**QUIET, **arguments).max_epochs == epochs


def test_only_training_warns_that_no_end_was_given(recwarn):
    """A Trainer that tests needs none, and says nothing of epochs."""
    trainer, model = Trainer(**QUIET, limit_train_batches=0), TinyModule()
    trainer.test(model, batches(2), verbose=False)
    assert not [each for each in recwarn if "epochs" in str(each.message)]

    with pytest.warns(UserWarning, match="training ends after 1000 epochs"):
        trainer.fit(model, batches(2))


@pytest.mark.parametrize(
    "strategy", ["auto", "single_device", "ddp", "ddp_notebook", "ddp_spawn", "ddp_find_unused_parameters_true"]
)
def test_strategies_of_several_processes_run_on_one_device(strategy):
    """A script for many devices works on the machine that has one."""
    trainer, model = quiet(strategy=strategy, devices=1), TinyModule()

    trainer.fit(model, batches(2))

    assert isinstance(trainer.strategy, SingleDeviceStrategy) and trainer.world_size == 1


@pytest.mark.cpu
@pytest.mark.parametrize("devices", [1, "1", "auto"])
def test_forms_of_devices_on_the_cpu(devices):
    """All mean the one CPU."""
    trainer = quiet(devices=devices)

    assert (trainer.num_devices, trainer.device_ids, str(trainer.strategy.root_device)) == (1, [0], "cpu")


@pytest.mark.parametrize(
    "clash",
    [
        {"logger": True}, {"enable_checkpointing": True}, {"enable_progress_bar": True}, {"enable_model_summary": True},
        {"num_sanity_val_steps": 2}, {"log_every_n_steps": 10}, {"fast_dev_run": True}, {"detect_anomaly": True},
    ],
    ids=str,
)  # fmt: skip
def test_barebones_refuses_what_it_leaves_out(clash):
    """It names the argument and its value."""
    ((name, value),) = clash.items()
    with pytest.raises(ValueError, match=f"barebones=True, {name}={value}"):
        Trainer(barebones=True, max_epochs=1, **clash)


@pytest.mark.parametrize("kind", [ModelCheckpoint, TQDMProgressBar])
def test_barebones_refuses_callbacks_that_it_leaves_out(kind):
    """Files and bars are what it is to be free of; as in Lightning."""
    with pytest.raises(MisconfigurationException, match=f"barebones=True.*{kind.__name__}"):
        Trainer(barebones=True, max_epochs=1, callbacks=kind())


def test_barebones_trains_and_logs_nothing(recwarn):
    """Validation runs, the sanity check does not; ``self.log`` warns once and keeps nothing, in callbacks as well."""

    class Logs(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.log("mine", 1.0)

    trainer, model = Trainer(barebones=True, max_epochs=2, accelerator="cpu", callbacks=Logs()), TinyModule()
    trainer.fit(model, batches(4), batches(2))

    assert (trainer.global_step, trainer.callback_metrics, trainer.loggers) == (8, {}, [])
    assert [type(one).__name__ for one in trainer.callbacks] == ["Logs"]
    assert sum("barebones" in str(one.message) for one in recwarn) <= 1
    assert trainer.test(model, batches(1), verbose=False) == [{}]


@pytest.mark.parametrize(("runs", "number"), [(True, 1), (1, 1), (3, 3)])
def test_fast_dev_run_takes_a_few_batches_of_everything(runs, number, tmp_path):
    """No rows, no files, no sanity check, one epoch."""
    logger, seen = Noted(), []

    class Sees(Callback):
        def on_validation_batch_end(self, trainer, *_):
            seen.append("val")

        def on_sanity_check_start(self, trainer, pl_module):
            seen.append("sanity")

    trainer = Trainer(
        fast_dev_run=runs, logger=logger, accelerator="cpu", max_epochs=7, limit_train_batches=1.0, log_every_n_steps=1,
        callbacks=[Sees()], enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    model = TinyModule()
    trainer.fit(model, batches(8), batches(8))
    trainer.test(model, batches(8), verbose=False)

    assert (trainer.global_step, trainer.current_epoch) == (number, 1)
    assert (trainer.num_training_batches, trainer.num_test_batches) == (number, [number])
    assert seen == ["val"] * number
    assert (logger.rows, logger.ends) == ([], [])
    assert not list(tmp_path.rglob("*.ckpt"))


@pytest.mark.parametrize("off", [False, 0])
def test_no_fast_dev_run(off):
    """False and 0 mean a normal run."""
    trainer = quiet(fast_dev_run=off, max_epochs=2)
    trainer.fit(TinyModule(), batches(3))

    assert trainer.global_step == 6


def test_overfit_batches_trains_and_validates_on_the_same_few(recwarn):
    """The first batches, in order, although the loader shuffles."""
    seen = []

    class Sees(TinyModule):
        def training_step(self, batch, batch_idx):
            seen.append(batch[0, 0].item())
            return super().training_step(batch, batch_idx)

    data = torch.randn(10, 4)
    trainer = quiet(overfit_batches=2, max_epochs=3)
    trainer.fit(Sees(), torch.utils.data.DataLoader(data, shuffle=True), batches(5))

    assert seen == [data[0, 0].item(), data[1, 0].item()] * 3
    assert (trainer.num_training_batches, trainer.num_val_batches) == (2, [2])


def test_a_share_of_the_batches_is_taken_of_the_train_loader():
    """``overfit_batches`` as a fraction."""
    trainer = quiet(overfit_batches=0.5)
    trainer.fit(TinyModule(), batches(4))

    assert trainer.num_training_batches == 2


def test_max_time_ends_a_run():
    """In mid-epoch, at the first step after it is over; a Timer callback does it."""
    trainer = quiet(max_time={"milliseconds": 1}, max_epochs=-1)
    trainer.fit(TinyModule(), batches(100))

    assert 0 < trainer.global_step < 100_000 and trainer.should_stop
    assert any(isinstance(one, Timer) for one in trainer.callbacks)


@pytest.mark.parametrize("span", ["00:00:01:30", {"minutes": 1, "seconds": 30}, timedelta(seconds=90)])
def test_forms_of_max_time(span):
    """A string, a dict and a timedelta."""
    timer = next(one for one in quiet(max_time=span).callbacks if isinstance(one, Timer))

    assert timer.time_remaining() == pytest.approx(90, abs=1)


def test_validation_by_wall_time():
    """With a span of zero after every batch; with a long one never."""
    counts = []
    for span in ("00:00:00:00", timedelta(days=1)):
        model = TinyModule()
        model.count = 0
        model.on_validation_start = lambda model=model: setattr(model, "count", model.count + 1)
        quiet(val_check_interval=span, num_sanity_val_steps=0, max_epochs=2).fit(model, batches(3), batches(1))
        counts.append(model.count)

    assert counts == [6, 0]


CHANGES = [
    ("limit_train_batches", 2, [4, 2, 2]), ("limit_train_batches", 0.25, [4, 1, 1]), ("max_epochs", 2, [4, 4]),
    ("max_steps", 6, [4, 2]), ("limit_train_batches", 0, [4]), ("accumulate_grad_batches", 4, [4, 1, 1]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "steps"), CHANGES, ids=str)
def test_limits_changed_during_a_run_hold_from_the_next_epoch(name, value, steps):
    """Steps of each epoch, when the first epoch's end changes an argument."""
    done = []

    class Changes(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            done.append(trainer.global_step - sum(done))
            setattr(trainer, name, value)

    quiet(callbacks=Changes(), max_epochs=3).fit(TinyModule(), batches(4))

    assert done == steps


@pytest.mark.parametrize(("value", "validated"), [(0, [3]), (1, [3, 1, 1]), (0.34, [3, 1, 1]), (1.0, [3, 3, 3])])
def test_the_validation_limit_changed_during_a_run(value, validated):
    """It holds from the next validation; 0 turns validation off."""
    done = []

    class Changes(Callback):
        def on_validation_end(self, trainer, pl_module):
            done.append(trainer.progress.val_batches)
            trainer.limit_val_batches = value

    quiet(callbacks=Changes(), max_epochs=3, num_sanity_val_steps=0).fit(TinyModule(), batches(2), batches(3))

    assert done == validated


def test_clipping_changed_during_a_run():
    """The next step clips."""
    model = TinyModule()
    trainer = quiet()
    weights = []
    model.on_train_batch_start = lambda batch, batch_idx: (
        (
            weights.append(model.layer.weight.detach().clone()),
            setattr(trainer, "gradient_clip_val", 1e-12 if batch_idx else None),
        )[2:]
        and None
    )
    trainer.fit(model, batches(3))

    assert not torch.equal(weights[0], weights[1])
    assert torch.allclose(weights[1], weights[2], atol=1e-9)


def test_wrong_values_set_during_a_run_are_refused():
    """As in the constructor."""
    with pytest.raises(MisconfigurationException, match="accumulate_grad_batches=0"):
        quiet().accumulate_grad_batches = 0


def test_should_stop_finishes_the_batch_and_validates():
    """Asked in a batch, the run ends after it, with a validation of what was reached."""
    seen = []

    class Stops(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            trainer.should_stop = trainer.should_stop or batch_idx == 1

        def on_validation_end(self, trainer, pl_module):
            seen.append(trainer.global_step)

    trainer = quiet(callbacks=Stops(), max_epochs=5, num_sanity_val_steps=0)
    trainer.fit(TinyModule(), batches(4), batches(1))

    assert (trainer.global_step, trainer.current_epoch, seen) == (2, 1, [2])


@pytest.mark.parametrize(
    ("deterministic", "enabled", "warns"), [(True, True, False), ("warn", True, True), (False, False, False)]
)
def test_deterministic(deterministic, enabled, warns):
    """torch is asked for deterministic algorithms, and cuDNN not to try out others."""
    torch.backends.cudnn.benchmark = True
    quiet(deterministic=deterministic)

    assert torch.are_deterministic_algorithms_enabled() is enabled
    assert torch.is_deterministic_algorithms_warn_only_enabled() is warns
    assert torch.backends.cudnn.benchmark is not enabled


def test_backends_are_left_alone_unless_asked():
    """None changes nothing; ``benchmark`` says what cuDNN shall do."""
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = True
    quiet()
    assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.benchmark

    quiet(benchmark=False)
    assert not torch.backends.cudnn.benchmark
    quiet(benchmark=True, deterministic=True)
    assert torch.backends.cudnn.benchmark


def test_detect_anomaly_finds_the_nan():
    """torch's own error about the backward pass; afterwards the switch is off."""

    class Nan(TinyModule):
        def training_step(self, batch, batch_idx):
            return (self(batch) * 0 - 1).sqrt().mean()

    with pytest.raises(RuntimeError, match="nan"):
        quiet(detect_anomaly=True).fit(Nan(), batches(1))

    assert not torch.is_anomaly_enabled()


@pytest.mark.parametrize("inference", [True, False])
@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_inference_mode_can_be_left(verb, inference):
    """Without it gradients are off all the same, and can be turned on in a hook."""
    seen = []

    class Looks(TinyModule):
        def validation_step(self, batch, batch_idx):
            seen.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
            with torch.enable_grad():
                seen.append(self(batch).requires_grad)

        test_step = predict_step = validation_step

    getattr(quiet(inference_mode=inference), verb)(Looks(), batches(1))

    assert seen == [(inference, False), not inference]


@pytest.mark.parametrize(
    ("given", "name", "dtype"),
    [
        (None, "32-true", torch.float32), (32, "32-true", torch.float32), ("64", "64-true", torch.float64),
        ("64-true", "64-true", torch.float64), ("bf16", "bf16-mixed", torch.float32),
        ("bf16-mixed", "bf16-mixed", torch.float32),
        ("bf16-true", "bf16-true", torch.bfloat16), ("16-true", "16-true", torch.float16),
    ],
)  # fmt: skip
def test_precisions(given, name, dtype):
    """Each trains, with weights of its type; the default type is float32 again afterwards."""
    trainer, model = quiet(precision=given), TinyModule()
    trainer.fit(model, batches(2), batches(1))

    assert (trainer.precision, model.dtype, torch.get_default_dtype()) == (name, dtype, torch.float32)
    assert not torch.is_autocast_enabled("cpu")
    assert torch.isfinite(trainer.callback_metrics["val_loss"])


def test_the_folder_of_everything(tmp_path, own_store):
    """``default_root_dir`` takes the run's folder with its checkpoints; what was logged is in the run store."""
    arguments = {**QUIET, "logger": None, "enable_checkpointing": None}
    Trainer(**arguments, default_root_dir=tmp_path / "here", max_epochs=1, log_every_n_steps=1).fit(
        TinyModule(), batches(2)
    )

    (found,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert found.relative_to(tmp_path).parts[:4] == ("here", "lightning_logs", "version_0", "checkpoints")
    assert (own_store / "fulgurite.db").exists()


def test_hyperparameters_are_logged_unless_not_wanted():
    """``enable_autolog_hparams``."""

    class Named(TinyModule):
        def __init__(self, lr=0.1):
            super().__init__(lr)
            self.save_hyperparameters()

    sent = []
    for wanted in (True, False):
        logger = Noted()
        quiet(logger=logger, enable_autolog_hparams=wanted).fit(Named(), batches(1))
        sent.append(logger.hyperparameters)

    assert sent == [[{"lr": 0.1}], []]


def test_loaders_are_asked_again_every_so_many_epochs():
    """``reload_dataloaders_every_n_epochs=2``: at the first, third and fifth epoch."""
    asked = []

    class Asks(TinyModule):
        def train_dataloader(self):
            asked.append(self.current_epoch)
            return batches(1)

    quiet(reload_dataloaders_every_n_epochs=2, max_epochs=5).fit(Asks())

    assert asked == [0, 2, 4]


@pytest.mark.parametrize(("steps", "done"), [(0, 0), (1, 1), (2, 2), (-1, 5), (99, 5)])
def test_sanity_steps(steps, done):
    """At most so many validation batches before training; -1 for all. What they log is thrown away."""
    seen = []

    class Sees(Callback):
        def on_validation_batch_end(self, trainer, *_):
            seen.append(trainer.sanity_checking)

        def on_train_start(self, trainer, pl_module):
            assert trainer.callback_metrics == {} and not trainer.sanity_checking

    quiet(num_sanity_val_steps=steps, callbacks=Sees()).fit(TinyModule(), batches(1), batches(5))

    assert seen.count(True) == done


@pytest.mark.skipif(available("deepspeed"), reason="the package is installed")
def test_a_strategy_without_its_package_says_how_to_get_it():
    with pytest.raises(MissingExtra, match="pip install deepspeed"):
        quiet(strategy="deepspeed_stage_2")
