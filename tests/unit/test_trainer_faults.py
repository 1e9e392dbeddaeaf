"""Errors in any hook of a run: who hears of them, what is closed, and that the Trainer is free for another run."""

import signal

import pytest
import torch

from fulgurite import Trainer
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.testing import QUIET, TinyModule, batches
from support.observed import VERBS, Broken, Noted, Scene, Witness

STAGES = {"fit": ("train", "validation"), "validate": ("validation",), "test": ("test",), "predict": ("predict",)}
LOADERS = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",), "predict": ("predict",)}
TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
OPTIMISATION = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
OWN_OPTIMISATION = (
    "training_step", "forward", "backward", "optimizer_step", "optimizer_zero_grad", "configure_gradient_clipping",
    "clip_gradients", "lr_scheduler_step", "configure_optimizers", "on_save_checkpoint", "state_dict",
    "on_validation_model_zero_grad",
)  # fmt: skip


def shared(verb):
    """The hooks that module and callbacks have in common."""
    for stage in STAGES[verb]:
        yield from (f"on_{stage}_{edge}" for edge in ("start", "end"))
        yield from (f"on_{stage}_{what}_{edge}" for what in ("epoch", "batch") for edge in ("start", "end"))
    if verb == "fit":
        yield from ("on_fit_start", "on_fit_end", *OPTIMISATION)


def module_hooks(verb):
    yield from ("prepare_data", "setup", "configure_callbacks", "configure_model", "zero_grad")
    yield from (*TRANSFERS, *shared(verb))
    yield from (f"{loader}_dataloader" for loader in LOADERS[verb])
    if verb == "fit":
        yield from (*OWN_OPTIMISATION, "validation_step", "on_validation_model_eval", "on_validation_model_train")
    else:
        stage = STAGES[verb][0]
        yield from (f"{stage}_step", f"on_{stage}_model_eval")
        yield from () if verb == "predict" else (f"on_{stage}_model_train",)


def callback_hooks(verb):
    yield from ("setup", *shared(verb))
    if verb == "fit":
        yield from ("on_sanity_check_start", "on_sanity_check_end", "on_save_checkpoint", "state_dict")


def datamodule_hooks(verb):
    yield from ("prepare_data", "setup", *TRANSFERS, *(f"{loader}_dataloader" for loader in LOADERS[verb]))
    if verb == "fit":
        yield "state_dict"


EVERYTHING = [
    *(("module", verb, hook) for verb in VERBS for hook in module_hooks(verb)),
    *(("listener", verb, hook) for verb in VERBS for hook in callback_hooks(verb)),
    *(("datamodule", verb, hook) for verb in VERBS for hook in datamodule_hooks(verb)),
    *(("logger", "fit", method) for method in ("log_metrics", "log_hyperparams", "log_graph", "after_save_checkpoint")),
]


def switches():
    """What a run may set process-wide and must put back."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_anomaly_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_default_dtype(),
        signal.getsignal(signal.SIGTERM),
        signal.getsignal(signal.SIGINT),
    )


def notes(error):
    return getattr(error, "__notes__", [])


def failed(scene, verb, error):
    """Run ``verb``, which raises ``error`` itself, and check what every failed run owes."""
    before = switches()
    with pytest.raises(type(error)) as caught:
        scene.run(verb)

    assert caught.value is error
    assert switches() == before
    assert scene.witness.exceptions == [error]
    assert scene.datamodule is None or scene.datamodule.exceptions == [error]
    assert scene.torn_down() == [[verb]] * len(scene.torn_down())
    assert scene.logger.ends == ["failed"]
    assert scene.trainer.state.status == "interrupted"
    assert not list(scene.folder.rglob("*.tmp"))
    assert scene.trainer._moment.hook is None


@pytest.mark.parametrize(("who", "verb", "hook"), EVERYTHING, ids=str)
def test_an_error_in_any_hook(who, verb, hook, tmp_path):
    """The user sees the very error; everybody is told and torn down once; the same Trainer then works."""
    scene, error = Scene(tmp_path, datamodule=who == "datamodule"), ZeroDivisionError("the user's own")

    with Broken(getattr(scene, who), hook, error) as broken:
        failed(scene, verb, error)

    assert broken.calls == 1
    assert all(note.startswith(("In ", "At ")) for note in notes(error)) and len(notes(error)) <= 1
    scene.run("fit")
    assert (scene.trainer.state.status, scene.trainer.current_epoch) == ("finished", 2)
    assert scene.logger.ends == ["failed", "success"]
    assert all(scene.module.modes)


@pytest.mark.parametrize("hook", ["training_step", "on_train_batch_end", "on_validation_end", "on_train_epoch_end"])
def test_the_next_fit_begins_with_the_epoch_that_failed(hook, tmp_path):
    """After an error in the second epoch, the next fit does it again, and its checkpoint resumes at the third."""
    scene, epochs = Scene(tmp_path, num_sanity_val_steps=0), []
    scene.listener.on_train_epoch_start = lambda trainer, module: epochs.append(trainer.current_epoch)
    per_epoch = 2 if hook in ("training_step", "on_train_batch_end") else 1

    with Broken(scene.module, hook, error := KeyError("x"), after=per_epoch):
        failed(scene, "fit", error)
    scene.run("fit")
    scene.trainer.save_checkpoint("after.ckpt")
    resumed = Scene(tmp_path, max_epochs=3, num_sanity_val_steps=0)
    resumed.listener.on_train_epoch_start = lambda trainer, module: epochs.append(trainer.current_epoch)
    resumed.run("fit", ckpt_path="after.ckpt")

    # Once its end hooks run, an epoch counts as done.
    assert epochs == ([0, 1, 2] if hook == "on_train_epoch_end" else [0, 1, 1, 2])
    assert resumed.trainer.current_epoch == 3


@pytest.mark.parametrize("verb", VERBS)
def test_an_error_of_the_dataset(verb, tmp_path):
    """What ``__getitem__`` raises reaches the user as it is."""
    error = LookupError("row 3")

    class Rows(torch.utils.data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index == 3:
                raise error
            return torch.ones(4)

    scene = Scene(tmp_path)
    stage = LOADERS[verb][0]
    setattr(scene.module, f"{stage}_dataloader", lambda: torch.utils.data.DataLoader(Rows()))

    failed(scene, verb, error)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("who", ["module", "listener", "datamodule"])
def test_an_error_of_a_good_runs_teardown(who, verb, tmp_path):
    """It is raised, the other owners are torn down all the same, and nobody twice."""
    scene, error = Scene(tmp_path, datamodule=True), OSError("disk")

    with Broken(getattr(scene, who), "teardown", error) as broken, pytest.raises(OSError) as caught:
        scene.run(verb)

    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert broken.calls == 1
    owners = {"module": scene.module, "listener": scene.witness, "datamodule": scene.datamodule}
    assert all(owner.torn_down == [verb] for name, owner in owners.items() if owner is not getattr(scene, who))
    assert scene.logger.ends == ["failed"]


@pytest.mark.parametrize(
    ("who", "hook"),
    [
        ("module", "teardown"), ("listener", "teardown"), ("datamodule", "teardown"), ("listener", "on_exception"),
        ("datamodule", "on_exception"), ("logger", "finalize"), ("logger", "save"),
    ],
)  # fmt: skip
def test_an_error_while_a_failed_run_is_closed(who, hook, tmp_path):
    """It does not hide the first error, but is noted on it, and everybody else is still told."""
    scene, error = Scene(tmp_path, datamodule=True), ZeroDivisionError("first")
    # A logger saves once when the run begins.
    before = int(hook == "save")

    with (
        Broken(scene.module, "training_step", error),
        Broken(getattr(scene, who), hook, OSError("second"), after=before) as broken,
    ):
        with pytest.raises(ZeroDivisionError) as caught:
            scene.run("fit")

    assert caught.value is error
    assert "OSError: second" in error.__notes__[1] and len(error.__notes__) == 2
    assert broken.calls == before + 1
    assert scene.witness.exceptions == [error] and scene.witness.torn_down == ["fit"]
    assert who == "datamodule" or scene.datamodule.torn_down == ["fit"]
    assert who == "module" or scene.module.torn_down == ["fit"]
    assert (who, hook) == ("logger", "finalize") or scene.logger.ends == ["failed"]


def test_two_teardowns_that_raise(tmp_path):
    """The first error is raised and carries a note of the second."""
    scene = Scene(tmp_path)

    with Broken(scene.module, "teardown", OSError("two")), Broken(scene.listener, "teardown", KeyError("one")):
        with pytest.raises(KeyError) as caught:
            scene.run("test")

    assert any("OSError: two" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("method", ["finalize", "save"])
def test_an_error_of_a_logger_at_a_good_end(method, tmp_path):
    """The other loggers are finalized once each, and nothing is torn down twice."""
    first, last, witness = Noted(), Noted(), Witness()
    trainer = Trainer(max_epochs=1, callbacks=witness, **{**QUIET, "logger": [first, Noted(), last]})
    error = OSError("full")

    with Broken(trainer.loggers[1], method, error), pytest.raises(OSError) as caught:
        trainer.fit(TinyModule(), batches())

    assert caught.value is error
    assert witness.torn_down == ["fit"]
    assert [len(logger.ends) for logger in (first, last)] == [1, 1]


def test_an_experiment_that_cannot_be_opened(tmp_path):
    """The logger's own error is what the user sees."""

    class Closed(Noted):
        @property
        def experiment(self):
            raise ConnectionError("no server")

    trainer = Trainer(max_epochs=1, **{**QUIET, "logger": Closed()})

    with pytest.raises(ConnectionError, match="no server"):
        trainer.fit(TinyModule(), batches())

    assert trainer.loggers[0].ends == ["failed"]


def test_dropout_is_on_again_after_an_error_in_validation(tmp_path):
    """The modes that sub-modules had before the validation come back, frozen ones included."""
    scene = Scene(tmp_path, num_sanity_val_steps=0)
    scene.module.frozen = torch.nn.Dropout().eval()

    with Broken(scene.module, "validation_step", error := ValueError()):
        failed(scene, "fit", error)

    assert scene.module.training and scene.module.layer.training and not scene.module.frozen.training


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_modes_come_back_after_an_error_in_evaluation(verb, tmp_path):
    """A module in training mode is in training mode after a failed pass."""
    scene = Scene(tmp_path)

    with Broken(scene.module, f"{STAGES[verb][0]}_step", error := ValueError()):
        failed(scene, verb, error)

    assert scene.module.training and scene.module.layer.training


def test_the_sanity_check_draws_no_random_numbers_even_if_it_fails(tmp_path):
    """The random state is as it was before the run."""
    scene, error = Scene(tmp_path), ValueError()

    def draws(batch, batch_idx):
        torch.rand(1)
        raise error

    scene.module.validation_step = draws
    state = torch.get_rng_state()
    failed(scene, "fit", error)

    assert torch.equal(torch.get_rng_state(), state)


def test_anomaly_detection_ends_with_the_run(tmp_path):
    """Also where it ends by an error."""
    scene, seen = Scene(tmp_path, detect_anomaly=True), []
    scene.listener.on_train_start = lambda *_: seen.append(torch.is_anomaly_enabled())

    with Broken(scene.module, "training_step", error := ValueError()):
        failed(scene, "fit", error)

    assert seen == [True]


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path):
    """A value that cannot be stored fails the run; the file of the epoch before is whole, and there is no other."""
    scene = Scene(tmp_path, callbacks=[])
    scene.trainer.callbacks = [ModelCheckpoint(dirpath=tmp_path / "kept", save_last=True, save_top_k=0), scene.witness]

    def unstorable(trainer, module, checkpoint):
        if trainer.current_epoch == 1:
            checkpoint["x"] = (each for each in ())

    scene.listener.on_save_checkpoint = unstorable
    scene.trainer.callbacks.append(scene.listener)
    with pytest.raises(Exception) as caught:
        scene.run("fit")

    assert "generator" in str(caught.value)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["last.ckpt"]
    assert torch.load(tmp_path / "kept" / "last.ckpt", weights_only=True)["epoch"] == 0


@pytest.mark.parametrize("verb", VERBS)
def test_a_refused_call_leaves_the_trainer_usable(verb):
    """A wrong model is a TypeError; nothing was begun, so nothing is torn down."""
    witness = Witness()
    trainer = Trainer(max_epochs=1, callbacks=witness, **QUIET)

    with pytest.raises(TypeError, match="LightningModule"):
        getattr(trainer, verb)(torch.nn.Linear(1, 1))
    trainer.fit(TinyModule(), batches())

    assert trainer.state.status == "finished" and witness.exceptions == []


def test_loggers_hear_of_ctrl_c_and_the_interrupt_goes_on(tmp_path):
    """KeyboardInterrupt is told to callbacks, torn down, and raised again."""
    scene, error = Scene(tmp_path), KeyboardInterrupt()

    with Broken(scene.module, "training_step", error):
        failed(scene, "fit", error)

    assert scene.trainer.interrupted
    scene.run("fit")
    assert not scene.trainer.interrupted and scene.trainer.state.status == "finished"


def test_an_exit_in_a_step_is_an_error_like_others(tmp_path):
    """``sys.exit`` in a hook ends the run properly before it ends the process."""
    scene, error = Scene(tmp_path), SystemExit(3)

    with Broken(scene.module, "training_step", error):
        failed(scene, "fit", error)
