"""ModelCheckpoint: when it saves, under which names, and which files stay."""

import math
import shutil
import warnings
from datetime import timedelta

import pytest
import torch

from fulgurite.base.errors import MisconfigurationException
from fulgurite.callbacks import ModelCheckpoint
from fulgurite.core.logger import DummyLogger
from support.counted import INF, NAN, Counted, Saves, batches, files, fit, quiet

WORDS = "ModelCheckpoint{'monitor': 'val', 'mode': 'min', 'every_n_train_steps': 0, 'every_n_epochs': 1, 'train_time_interval': None}"  # noqa: E501


def steps_of(folder, *callbacks, model=None, val=True, arguments=None, **options):
    """Fit with a checkpoint callback; return it, the steps at which it saved, and the files it left."""
    saves, callback = Saves(), ModelCheckpoint(dirpath=folder / "kept", **options)
    fit(folder, callback, saves, *callbacks, model=model, val=val, **(arguments or {}))
    return callback, [step for _, step, _ in saves.seen], files(folder / "kept")


# Steps of the saves with five batches an epoch and two epochs, as Lightning 2.6 has them.
TRIGGERS = [
    ({}, {}, [5, 10]),
    ({"every_n_epochs": 2}, {"max_epochs": 5}, [10, 20]),
    ({"every_n_train_steps": 2}, {}, [2, 4, 6, 8, 10]),
    ({"every_n_train_steps": 5}, {}, [5, 10]),
    ({"every_n_train_steps": 1}, {"accumulate_grad_batches": 2}, [1, 2, 3, 4, 5, 6]),
    ({"train_time_interval": timedelta(0)}, {}, list(range(1, 11))),
    ({"train_time_interval": timedelta(hours=9)}, {"max_epochs": 1, "max_steps": 2}, [2]),
    ({}, {"val_check_interval": 2}, [2, 4, 7, 9]),
    ({"save_on_train_epoch_end": True}, {"val_check_interval": 2}, [5, 10]),
    ({"save_on_train_epoch_end": False}, {}, [5, 10]),
    ({}, {"check_val_every_n_epoch": 2, "max_epochs": 4}, [10, 20]),
    ({}, {"check_val_every_n_epoch": None, "val_check_interval": 7, "max_epochs": 4}, [7, 14]),
    ({}, {"max_steps": 3, "max_epochs": -1}, [3]),
    ({"every_n_epochs": 0}, {}, []),
    ({}, {"fast_dev_run": True}, []),
    ({"save_top_k": 0}, {}, []),
]


@pytest.mark.parametrize(("options", "arguments", "expected"), TRIGGERS)
def test_triggers(tmp_path, options, arguments, expected):
    """Epochs, optimizer steps, time and validation each save when they are due, once a step."""
    _, steps, kept = steps_of(tmp_path, arguments=arguments, **{"save_top_k": -1, **options})

    assert steps == expected
    assert len(kept) == len(expected)


@pytest.mark.parametrize("every", [1, 2, None])
def test_without_validation_every_epoch_is_saved(tmp_path, every):
    """However validation is configured, with no validation data epochs are saved at their end."""
    interval = 1.0 if every else 3
    arguments = {"check_val_every_n_epoch": every, "val_check_interval": interval}

    assert steps_of(tmp_path, val=False, save_top_k=-1, arguments=arguments)[1] == [5, 10]


def test_the_newest_stays_without_a_monitor(tmp_path):
    """One file, overwritten by the next epoch; it is the best one there is."""
    callback, steps, kept = steps_of(tmp_path)

    assert (steps, kept) == ([5, 10], ["epoch=1-step=10.ckpt"])
    assert callback.best_model_path.endswith("kept/epoch=1-step=10.ckpt")
    assert callback.best_model_score is None


BEST = [
    ("min", 1, [3, 1, 2, 0.5], [0, 1, 3], [3], 0.5),
    ("min", 2, [3, 1, 2, 0.5], [0, 1, 2, 3], [1, 3], 0.5),
    ("max", 2, [3, 1, 2, 0.5], [0, 1, 2], [0, 2], 3),
    ("min", 2, [NAN, 1, NAN, 2.5], [0, 1, 3], [1, 3], 1),
    ("max", 2, [NAN, 1], [0, 1], [0, 1], 1),
    ("min", 1, [NAN, NAN], [0], [0], INF),
    ("min", 3, [1, 1, 1, 1], [0, 1, 2], [0, 1, 2], 1),
    ("min", -1, [3, 1, 2], [0, 1, 2], [0, 1, 2], 1),
]


@pytest.mark.parametrize(("mode", "keep", "values", "saved", "kept", "best"), BEST)
def test_the_best_stay(tmp_path, mode, keep, values, saved, kept, best):
    """The k best by the monitor stay, NaN last, the older of equals first."""
    saves, callback = Saves(), ModelCheckpoint(tmp_path / "kept", "{epoch}", "val", mode=mode, save_top_k=keep)
    fit(tmp_path, callback, saves, model=Counted(values), max_epochs=len(values))

    assert [epoch for _, _, epoch in saves.seen] == saved
    assert files(tmp_path / "kept") == [f"epoch={epoch}.ckpt" for epoch in kept]
    assert callback.best_model_score == best
    assert set(callback.best_k_models) == {str(tmp_path / f"kept/epoch={epoch}.ckpt") for epoch in kept}


def test_a_plain_name_is_reused_by_its_own_run_only(tmp_path):
    """Each better checkpoint takes the name; a second run gets a version and says so before it starts."""
    options = {"monitor": "val", "filename": "best"}
    assert steps_of(tmp_path, model=Counted([3, 2]), **options)[2] == ["best.ckpt"]

    with pytest.warns(UserWarning, match="is not empty.*'best-v1.ckpt'; nothing is overwritten"):
        callback, _, kept = steps_of(tmp_path, model=Counted([3, 2]), **options)

    assert kept == ["best-v1.ckpt", "best.ckpt"]
    assert callback.best_model_path.endswith("best-v1.ckpt")


def test_without_the_version_counter_names_are_overwritten(tmp_path):
    """The user asked for it, and the warning says it."""
    options = {"filename": "best", "enable_version_counter": False}
    steps_of(tmp_path, **options)

    with pytest.warns(UserWarning, match="'best.ckpt'; one of the same name is overwritten"):
        assert steps_of(tmp_path, **options)[2] == ["best.ckpt"]


def test_two_of_the_same_name_get_versions(tmp_path):
    """Two best files under a plain name are told apart, and a freed name is used again."""
    saves, callback = Saves(), ModelCheckpoint(tmp_path / "kept", "best", "val", save_top_k=2)
    fit(tmp_path, callback, saves, model=Counted([3, 1, 2, 0.5]), max_epochs=4)

    assert [name for name, _, _ in saves.seen] == ["best.ckpt", "best-v1.ckpt", "best.ckpt", "best.ckpt"]
    assert files(tmp_path / "kept") == ["best-v1.ckpt", "best.ckpt"]


def test_save_last(tmp_path):
    """last.ckpt is written beside every checkpoint; a link points to the newest one."""
    model = Counted([3, 2, 1])
    steps_of(tmp_path / "file", model=model, arguments={"max_epochs": 3}, monitor="val", save_last=True)
    kept = steps_of(tmp_path / "link", model=model, arguments={"max_epochs": 3}, monitor="val", save_last="link")[2]

    assert torch.load(tmp_path / "file/kept/last.ckpt")["global_step"] == 15
    assert kept == ["epoch=2-step=15.ckpt", "last.ckpt -> epoch=2-step=15.ckpt"]


@pytest.mark.parametrize("last", [True, "link"])
@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ({"monitor": "train", "every_n_train_steps": 2}, ["epoch=0-step=2.ckpt", 10]),
        ({"monitor": "val"}, ["epoch=0-step=5.ckpt", 10]),
        ({"monitor": "val", "save_on_train_epoch_end": False}, ["epoch=0-step=5.ckpt", 10]),
    ],
)
def test_last_follows_the_newest_weights_not_the_best(tmp_path, last, trigger, expected):
    """Where the metric only worsens, the best file stays and last.ckpt is a file of the newest weights."""
    callback, _, kept = steps_of(tmp_path, save_last=last, **trigger)

    assert kept == [expected[0], "last.ckpt"]
    assert torch.load(callback.last_model_path)["global_step"] == expected[1]
    assert torch.load(callback.best_model_path)["global_step"] == int(expected[0].split("=")[2][:-5])


def test_last_becomes_a_link_again(tmp_path):
    """After weights that were not among the best, the next good file is linked to."""
    model, arguments = Counted([3, 4, 2]), {"max_epochs": 3}
    kept = steps_of(tmp_path, model=model, arguments=arguments, monitor="val", save_last="link")[2]

    assert kept == ["epoch=2-step=15.ckpt", "last.ckpt -> epoch=2-step=15.ckpt"]


def test_last_is_written_once_a_step(tmp_path):
    """Batches that only accumulate do not write the same weights again."""
    arguments = {"accumulate_grad_batches": 2}
    options = {"monitor": "train", "every_n_train_steps": 1, "save_last": True}
    saves = Saves()
    steps_of(tmp_path, saves, arguments=arguments, **options)

    assert [step for name, step, _ in saves.seen if name == "last.ckpt"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("last", [True, "link"])
def test_save_last_alone(tmp_path, last):
    """With nothing else to keep, last.ckpt is a file, as new as the last epoch."""
    callback, _, kept = steps_of(tmp_path, save_last=last, save_top_k=0)

    assert kept == ["last.ckpt"]
    assert torch.load(callback.last_model_path)["global_step"] == 10


def test_last_of_another_run_stays(tmp_path):
    """A second run in the same folder leaves the first one's last.ckpt alone."""
    steps_of(tmp_path, save_last=True)
    with pytest.warns(UserWarning, match="not empty"):
        callback, _, kept = steps_of(tmp_path, save_last=True)

    assert kept == ["epoch=1-step=10-v1.ckpt", "epoch=1-step=10.ckpt", "last-v1.ckpt", "last.ckpt"]
    assert callback.last_model_path.endswith("last-v1.ckpt")


def test_validation_comes_before_the_checkpoint_of_its_step(tmp_path):
    """Where a step is both saved and validated, the score is that of the saved weights."""
    model, arguments = Counted(), {"val_check_interval": 2}
    callback = steps_of(tmp_path, model=model, arguments=arguments, monitor="val", every_n_train_steps=2, save_top_k=-1)

    scores = {path.rsplit("=", 1)[1]: score.item() for path, score in callback[0].best_k_models.items()}
    assert scores["2.ckpt"] == 2 and scores["4.ckpt"] == 4


def test_what_waits_for_a_validation_that_fails_is_saved(tmp_path):
    """A save that was due and put off until after validation is not lost with it."""

    class Breaks(Counted):
        def validation_step(self, batch, batch_idx):
            raise RuntimeError("in validation")

    with pytest.raises(RuntimeError, match="in validation"):
        steps_of(tmp_path, model=Breaks(), every_n_train_steps=5)

    assert files(tmp_path / "kept") == ["epoch=0-step=5.ckpt"]


class BreaksAt(Counted):
    """Raises in a given step."""

    def __init__(self, step, error):
        super().__init__()
        self.step, self.error = step, error

    def training_step(self, batch, batch_idx):
        if self.global_step == self.step:
            raise self.error
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_save_on_exception(tmp_path, error):
    """What was trained since the last checkpoint is saved when the run breaks; the error goes on."""
    with pytest.raises(type(error)):
        steps_of(tmp_path, model=BreaksAt(7, error), save_on_exception=True, monitor="val", save_last=True)

    assert files(tmp_path / "kept") == ["epoch=0-step=5.ckpt", "epoch=1-step=7.ckpt", "last.ckpt"]
    assert torch.load(tmp_path / "kept/last.ckpt")["global_step"] == 7


def test_nothing_is_saved_by_an_exception_before_the_first_step(tmp_path):
    """There is nothing to keep yet."""
    with pytest.raises(RuntimeError):
        steps_of(tmp_path, model=BreaksAt(0, RuntimeError()), save_on_exception=True)

    assert files(tmp_path / "kept") == []


def test_a_failed_write_is_not_remembered(tmp_path):
    """If the disk is full, the old file stays, and the callback still points to it."""
    saved = []

    class FullDisk(Saves):
        def on_fit_start(self, trainer, pl_module):
            save = trainer.save_checkpoint

            def until_full(path, *args, **kwargs):
                if saved:
                    raise OSError("no space left on device")
                saved.append(path)
                save(path, *args, **kwargs)

            trainer.save_checkpoint = until_full

    callback = ModelCheckpoint(tmp_path / "kept", monitor="val")
    with pytest.raises(OSError, match="no space"):
        fit(tmp_path, callback, FullDisk(), model=Counted([2, 1]))

    assert files(tmp_path / "kept") == ["epoch=0-step=5.ckpt"]
    assert [*callback.best_k_models] == [callback.best_model_path] == saved


def test_state_and_its_name(tmp_path):
    """The state is kept under the name, and in the words, that Lightning has, with one word more."""
    callback, _, kept = steps_of(tmp_path, model=Counted([3, 2]), monitor="val")
    states = torch.load(tmp_path / "kept" / kept[0])["callbacks"]

    path = str(tmp_path / "kept" / kept[0])
    assert callback.state_key == WORDS
    assert states[WORDS] == {
        "monitor": "val",
        "best_model_score": 2.0,
        "best_model_path": path,
        "current_score": 2.0,
        "dirpath": str(tmp_path / "kept"),
        "best_k_models": {path: 2.0},
        "kth_best_model_path": path,
        "kth_value": 2.0,
        "last_model_path": "",
        "last_global_step_saved": callback._last_global_step_saved,
    }


def test_a_resumed_run_compares_with_what_it_had(tmp_path):
    """Scores of before count; the file resumed from stays, even where it is outdone."""
    options = {"monitor": "val", "save_top_k": 1}
    first = steps_of(tmp_path, model=Counted([3, 1]), **options)[0]
    callback = ModelCheckpoint(tmp_path / "kept", **options)

    fit(tmp_path, callback, model=Counted([3, 1, 2, 0.5]), max_epochs=4, ckpt_path=first.best_model_path)

    assert files(tmp_path / "kept") == ["epoch=1-step=10.ckpt", "epoch=3-step=20.ckpt"]
    assert [*callback.best_k_models] == [str(tmp_path / "kept/epoch=3-step=20.ckpt")]


OUTSIDERS = ["../victim.ckpt", "away/victim.ckpt", "victim.txt", "sub/../../victim.ckpt", "folder.ckpt"]


@pytest.mark.parametrize("key", ["best_model_path", "last_model_path"])
@pytest.mark.parametrize("name", OUTSIDERS)
def test_a_loaded_state_deletes_nothing_of_others(tmp_path, name, key):
    """What a checkpoint says is removed only if it is a checkpoint file inside the folder, links and dots resolved."""
    kept, victims = tmp_path / "kept", [tmp_path / "victim.ckpt", tmp_path / "kept/victim.txt"]
    first, _, _ = steps_of(tmp_path, save_last=True)
    (kept / "sub").mkdir()
    (kept / "folder.ckpt").mkdir()
    (kept / "away").symlink_to(tmp_path)
    for victim in victims:
        victim.write_text("precious")
    crafted = torch.load(first.last_model_path)
    crafted["callbacks"][first.state_key][key] = f"{kept}/{name}"
    torch.save(crafted, tmp_path / "crafted.ckpt")

    fit(tmp_path, ModelCheckpoint(kept, save_last=True), max_epochs=3, ckpt_path=tmp_path / "crafted.ckpt")

    assert all(victim.read_text() == "precious" for victim in victims)
    assert (kept / "folder.ckpt").is_dir() and (kept / "epoch=2-step=15.ckpt").is_file()


def test_a_link_out_of_the_folder_goes_without_its_target(tmp_path):
    """An outdated file that is a link is removed as the link it is."""
    callback, _, (name, *_) = steps_of(tmp_path)
    target = tmp_path / name
    shutil.move(callback.best_model_path, target)
    (tmp_path / "kept" / name).symlink_to(target)
    shutil.copy(target, tmp_path / "copy.ckpt")
    fit(tmp_path, ModelCheckpoint(tmp_path / "kept"), max_epochs=3, ckpt_path=tmp_path / "copy.ckpt")

    assert files(tmp_path / "kept") == ["epoch=2-step=15.ckpt"]
    assert target.is_file()


def test_a_remote_root_is_refused_before_training(tmp_path):
    """Checkpoints go to local folders; with one of its own, or in a trial, the callback does not mind the root."""
    root = "memory://refused"
    with pytest.raises(MisconfigurationException, match=rf"'{root}/checkpoints' is a remote address.*dirpath="):
        fit(root, ModelCheckpoint())
    fit(root, ModelCheckpoint(), fast_dev_run=True)
    fit(root, ModelCheckpoint(tmp_path / "kept"))

    assert files(tmp_path / "kept") == ["epoch=1-step=10.ckpt"]


def test_checkpoints_are_removed_where_they_were_saved(tmp_path):
    """What ``save_checkpoint`` writes to an address ``remove_checkpoint`` removes there; a second time is no error."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    trainer = fit(tmp_path, ModelCheckpoint(tmp_path / "kept"))
    for path in ("memory://removed/one.ckpt", tmp_path / "one.ckpt"):
        trainer.save_checkpoint(path)
        for _ in range(2):
            trainer.strategy.remove_checkpoint(path)

    assert not memory.exists("/removed/one.ckpt") and not (tmp_path / "one.ckpt").exists()


def test_in_another_folder_a_resumed_run_starts_its_own_list(tmp_path):
    """Only the path of the best is taken over, with a warning, and no file of the old folder is touched."""
    options = {"monitor": "val", "save_top_k": 2, "save_last": True}
    first = steps_of(tmp_path, model=Counted([3, 1]), **options)[0]
    before, callback = files(tmp_path / "kept"), ModelCheckpoint(tmp_path / "new", **options)

    with pytest.warns(UserWarning, match="only best_model_path is taken over"):
        fit(tmp_path, callback, model=Counted([3, 1, 9, 8]), max_epochs=4, ckpt_path=first.last_model_path)

    assert files(tmp_path / "kept") == before
    assert files(tmp_path / "new") == ["epoch=2-step=15.ckpt", "epoch=3-step=20.ckpt", "last.ckpt"]


def test_a_second_fit_goes_on(tmp_path):
    """The same trainer trained further compares with its earlier files."""
    callback = ModelCheckpoint(tmp_path / "kept", monitor="val")
    trainer, model = quiet(tmp_path, callback), Counted([3, 2, 1, 0.5])
    trainer.fit(model, batches(), batches(2))
    trainer.max_epochs = 4
    trainer.fit(model, batches(), batches(2))

    assert files(tmp_path / "kept") == ["epoch=3-step=20.ckpt"]


def test_testing_the_best_does_not_set_the_callback_back(tmp_path):
    """The best file was written before the newer ones; the callback still knows those after it was loaded."""

    class WithTest(Counted):
        def test_step(self, batch, batch_idx):
            pass

    callback = ModelCheckpoint(tmp_path / "kept", monitor="val", save_top_k=3)
    trainer = fit(tmp_path, callback, model=WithTest([1, 2, 3]), max_epochs=3)
    trainer.test(ckpt_path="best", dataloaders=batches(), verbose=False)

    assert len(callback.best_k_models) == 3


class Shelf(DummyLogger):
    """A logger with a folder, which notes what it is told."""

    def __init__(self, save_dir, name="runs", version=3):
        super().__init__()
        self._where, self.told = (save_dir, name, version), []

    save_dir = property(lambda self: self._where[0])
    name = property(lambda self: self._where[1])
    version = property(lambda self: self._where[2])

    def after_save_checkpoint(self, checkpoint_callback):
        self.told.append((checkpoint_callback.best_model_path, files(checkpoint_callback.dirpath)))


@pytest.mark.parametrize(
    ("logger", "folder"),
    [
        ((True, "runs", 3), "shelf/runs/version_3/checkpoints"),
        ((True, "runs", "trial"), "shelf/runs/trial/checkpoints"),
        ((True, "", 0), "shelf/version_0/checkpoints"),
        ((True, None, "id"), "shelf/id/checkpoints"),
        ((False, "runs", 1), "runs/version_1/checkpoints"),
        (None, "checkpoints"),
    ],
)
def test_the_default_folder(tmp_path, logger, folder):
    """It belongs to the first logger's run, else to the trainer's root."""
    loggers = [Shelf(tmp_path / "shelf" if logger[0] else None, *logger[1:]), Shelf(tmp_path)] if logger else False
    trainer = fit(tmp_path, logger=loggers)

    assert trainer.checkpoint_callback.dirpath == str(tmp_path / folder)
    assert files(tmp_path / folder) == ["epoch=1-step=10.ckpt"]


def test_loggers_are_told_after_each_file(tmp_path):
    """The file is there when a logger hears of it, and what it raises is seen."""
    logger = Shelf(tmp_path)
    callback = ModelCheckpoint(tmp_path / "kept")
    fit(tmp_path, callback, logger=logger)

    assert len(logger.told) == 2
    assert all(path.rsplit("/", 1)[1] in there for path, there in logger.told)

    def fails(checkpoint_callback):
        raise ConnectionError("upload failed")

    logger.after_save_checkpoint = fails
    with pytest.raises(ConnectionError, match="upload failed"):
        fit(tmp_path, ModelCheckpoint(tmp_path / "other"), logger=logger)


def test_names_to_come_are_shown_where_the_folder_is_not_empty(tmp_path):
    """Names that depend on metrics are outlined."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/other.txt").touch()
    with pytest.warns(UserWarning, match="'epoch=…-step=….ckpt', with '-v1' where that name is taken"):
        steps_of(tmp_path)


def test_an_empty_folder_or_a_resumed_run_is_no_news(tmp_path):
    """The folder is talked about only where names might surprise."""
    (tmp_path / "kept").mkdir()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*not empty")
        first = steps_of(tmp_path)[0]
        fit(tmp_path, ModelCheckpoint(tmp_path / "kept"), max_epochs=3, ckpt_path=first.best_model_path)


def test_weights_only(tmp_path):
    """Such a file holds the model and nothing of the training."""
    kept = steps_of(tmp_path, save_weights_only=True)[2]
    found = torch.load(tmp_path / "kept" / kept[0])

    assert "state_dict" in found and "optimizer_states" not in found


def test_metrics_named_step_and_epoch_win(tmp_path):
    """What the user logs under these names names the files."""

    class Own(Counted):
        def training_step(self, batch, batch_idx):
            self.log("step", 100.0 + self.global_step)
            self.log("epoch", 7.0)
            return super().training_step(batch, batch_idx)

    assert steps_of(tmp_path, model=Own(), save_top_k=-1)[2] == ["epoch=7-step=104.ckpt", "epoch=7-step=109.ckpt"]


def test_steps_and_epochs_can_be_monitored(tmp_path):
    """With mode="max" the newest k stay."""
    kept = steps_of(tmp_path, arguments={"max_epochs": 4}, monitor="step", mode="max", save_top_k=2)[2]

    assert kept == ["epoch=2-step=15.ckpt", "epoch=3-step=20.ckpt"]


def test_slashes_make_folders(tmp_path):
    """A file in a sub-folder is removed like any other."""
    kept = steps_of(tmp_path, filename="sub/{epoch}", monitor="val", mode="max")[2]

    assert kept == ["sub/epoch=1.ckpt"]


def test_to_yaml(tmp_path):
    """One line for each of the best, path and score."""
    callback = steps_of(tmp_path, monitor="val", save_top_k=2)[0]
    callback.to_yaml()

    lines = (tmp_path / "kept/best_k_models.yaml").read_text().splitlines()
    assert lines == [f"{path}: {score.item()}" for path, score in callback.best_k_models.items()]


def test_check_monitor_top_k(tmp_path):
    """The question that decides about a save can be asked from outside."""
    callback, trainer = ModelCheckpoint(monitor="v"), quiet(tmp_path)
    assert callback.check_monitor_top_k(trainer, torch.tensor(NAN))
    assert not callback.check_monitor_top_k(trainer, None)

    callback.best_k_models = {"a": torch.tensor(1.0)}
    answers = [callback.check_monitor_top_k(trainer, torch.tensor(value)) for value in (1.0, 0.9, NAN)]

    assert answers == [False, True, False]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"save_top_k": -2}, "save_top_k=-2"),
        ({"save_top_k": "2"}, "save_top_k='2'"),
        ({"save_top_k": 2}, "monitor=None"),
        ({"every_n_epochs": -1}, "every_n_epochs=-1"),
        ({"every_n_train_steps": 0.5}, "every_n_train_steps=0.5"),
        ({"every_n_train_steps": 2, "every_n_epochs": 1}, "mutually exclusive"),
        ({"every_n_train_steps": 2, "train_time_interval": timedelta(1)}, "mutually exclusive"),
        ({"train_time_interval": "soon"}, "DD:HH:MM:SS"),
        ({"mode": "best"}, "mode='best'"),
        ({"save_last": "yes"}, "save_last='yes'"),
        ({"dirpath": "s3://bucket/runs"}, "remote"),
    ],
)
def test_arguments_that_cannot_work(options, says):
    """The error names what was given and what is possible."""
    with pytest.raises(MisconfigurationException, match=says):
        ModelCheckpoint(**options)


def test_time_intervals_are_read_like_other_durations():
    """A string is as good as a timedelta, in the state's name too."""
    words, span = (ModelCheckpoint(train_time_interval=given) for given in ("00:01:00:00", timedelta(hours=1)))

    assert words.state_key == span.state_key
    assert math.isclose(words._train_time_interval.total_seconds(), 3600)


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path):
    """Found out at the first save, hours of training would be lost."""
    (tmp_path / "taken").write_text("a file")
    callback = ModelCheckpoint(dirpath=tmp_path / "taken" / "kept")

    with pytest.raises(MisconfigurationException, match="taken is a file"):
        fit(tmp_path, callback)
