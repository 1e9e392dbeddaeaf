"""A script of several processes: `python launched.py WHAT [STRATEGY]` trains one, and prints what it saw as JSON."""

import atexit
import json
import logging
import os
import signal
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from fulgurite import Callback, LightningModule, Trainer, seed_everything
from fulgurite.callbacks import EarlyStopping, ModelCheckpoint
from fulgurite.loggers import CSVLogger
from fulgurite.strategies import meeting, release
from fulgurite.strategies.ddp import DDPStrategy
from support.ports import is_free

# Spawned ranks come by here, too.
release.STILL = float(os.environ.get("STILL", release.STILL))


def say(*words):
    """Print a line in one piece: processes that share their output, and don't buffer it, mix their lines otherwise."""
    sys.stdout.flush()
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


class Net(LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1))

    def training_step(self, batch, batch_idx):
        loss = self.layers(batch[0]).square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True, sync_dist=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.layers(batch[0]).square().mean(), sync_dist=True)

    test_step = validation_step

    def predict_step(self, batch, batch_idx):
        return self.layers(batch[0])[:, 0]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


class Counting(Callback):
    """Has no state for a checkpoint, only attributes."""

    def __init__(self):
        self.batches, self.fits, self.trainer_is_here = 0, 0, None

    def on_fit_start(self, trainer, pl_module):
        self.fits += 1
        self.trainer_is_here = trainer

    def on_train_batch_end(self, *args):
        self.batches += 1


def rows(batches=8, shuffle=True):
    x = torch.randn(batches * 2, 4, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(x), batch_size=2, shuffle=shuffle)


def trainer(strategy="ddp", *callbacks, **arguments):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "log_every_n_steps": 1}
    settings = {"accelerator": "cpu", "devices": 2, "max_epochs": 2, **quiet, **arguments}
    return Trainer(strategy=strategy, callbacks=list(callbacks), **settings)


def weights(model):
    return [round(float(each.double().sum()), 10) for each in model.state_dict().values()]


def all_verbs(strategy):
    """A fit, a second one, and the other three, on one Trainer; what the parent knows afterwards."""
    seed_everything(7, verbose=False)
    model, counting, stopping = Net(), Counting(), EarlyStopping("val_loss", patience=50)
    best = ModelCheckpoint("files", monitor="val_loss", filename="{epoch}", auto_insert_metric_name=False)
    one = trainer(strategy, counting, stopping, best, logger=CSVLogger("logs"))
    one.fit(model, rows(), rows(4, shuffle=False))
    told = {"rank": one.global_rank, "weights": weights(model), "step": one.global_step, "epoch": one.current_epoch}
    told |= {"status": str(one.state.status), "metrics": sorted(one.callback_metrics), "best": best.best_model_path}
    told |= {"batches": counting.batches, "stopping": float(stopping.best_score), "version": one.logger.version}
    told |= {"same": one.callbacks[0] is counting and one.lightning_module is model and model.trainer is one}
    told["val_loss"] = float(one.callback_metrics["val_loss"])
    told["knows_trainer"] = counting.trainer_is_here is one
    one.max_epochs = 3
    one.fit(model, rows(), rows(4, shuffle=False))
    told |= {"later_step": one.global_step, "fits": counting.fits, "later_version": one.logger.version}
    told["validated"] = one.validate(model, rows(4, shuffle=False), verbose=False)
    told["tested"] = one.test(dataloaders=rows(4, shuffle=False), ckpt_path="best", verbose=False)
    told["predicted"] = [batch.tolist() for batch in one.predict(model, rows(3, shuffle=False))]
    told["files"] = sorted(os.listdir("logs/lightning_logs"))
    return told


class Faulty(Net):
    """Does ``act`` on one rank, as its batch ``at`` begins."""

    def __init__(self, act, rank, at=3):
        super().__init__()
        self.act, self.rank, self.at = act, int(rank), at

    def training_step(self, batch, batch_idx):
        if self.global_rank == self.rank and self.trainer.progress.total_batch_idx == self.at:
            ACTS[self.act]()
        time.sleep(float(os.environ.get("PACE", "0")))
        return super().training_step(batch, batch_idx)


def writes_elsewhere():
    """Wait in a file of torch's for checkpoints, as for a disk that takes its time."""
    from torch.distributed.checkpoint import filesystem

    where = filesystem.__file__
    exec(compile("import time\ntime.sleep(5)", where, "exec"), {})


def raises():
    raise LookupError("no such thing")


def sleeps():
    time.sleep(500)


ACTS = {
    "nothing": lambda: None,
    "raises": raises,
    "sleeps": sleeps,
    "leaves": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "int": lambda: os.kill(os.getpid(), signal.SIGINT),
    "int_twice": lambda: [(os.kill(int(os.environ["LEADER"]), signal.SIGINT), time.sleep(0.5)) for _ in range(2)],
    "int_to_all": lambda: os.killpg(os.getpgid(int(os.environ["LEADER"])), signal.SIGINT),
    "kill_parent": lambda: os.kill(int(os.environ["LEADER"]), signal.SIGKILL),
    "term_parent": lambda: os.kill(int(os.environ["LEADER"]), signal.SIGTERM),
}


def faulty(strategy, act, rank, epochs="3", resume=""):
    """Train, and let a rank do something in the middle of the first epoch; the last state is kept."""
    os.environ.setdefault("LEADER", str(os.getpid()))
    seed_everything(7, verbose=False)
    keeps = ModelCheckpoint("files", save_last=True, save_on_exception=True)
    if strategy == "short":
        strategy = DDPStrategy(timeout=timedelta(seconds=5))
    one, model = trainer(strategy, keeps, max_epochs=int(epochs)), Faulty(act, rank)
    try:
        one.fit(model, rows(16), ckpt_path=resume or None)
    finally:
        say(f"ENDED {one.global_rank} {one.global_step} {one.state.status} {one.interrupted}")
    return {"weights": weights(model), "step": one.global_step, "loss": float(one.callback_metrics["loss"])}


def under_torchrun(devices, act="nothing", rank="0", at="9"):
    """A fit that goes on from its last file; on the first start a rank does something."""
    seed_everything(7, verbose=False)
    act = act if os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" else "nothing"
    keeps = ModelCheckpoint("files", every_n_train_steps=3, save_top_k=-1, save_last="link")
    one = trainer("auto", keeps, devices=devices if devices == "auto" else int(devices))
    model = Faulty(act, rank, int(at))
    one.fit(model, rows(16), ckpt_path="last")
    return {
        "weights": weights(model),
        "step": one.global_step,
        "world": one.world_size,
        "kind": type(one.strategy).__name__,
    }


def torch_threads(when):
    """Print how many threads groups and stores of torch have in this process; Linux names them."""
    names = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]
    say(f"THREADS {when}", names.count("pt_gloo_runloop"), names.count("pt_tcpstore_uv"))


def many_turns(place):
    """Fits of two Trainers, a third on one device, and the first again; then the second rank ends badly."""
    # What is registered first is called last.
    atexit.register(torch_threads, f"after {os.environ.get('LOCAL_RANK', '0')}")
    os.chdir(place)
    sys.argv = [sys.argv[0], place, "more"]
    losses = []
    one, other = (trainer("ddp", max_epochs=1, enable_checkpointing=False) for _ in range(2))
    for each in (one, other):
        seed_everything(1, verbose=False)
        model = Net()
        each.fit(model, rows())
        losses.append(float(each.callback_metrics["loss_epoch"]))
    alone = trainer("auto", ModelCheckpoint("."), devices=1, max_epochs=1)
    alone.fit(Net(), rows())
    say("RANK", one.global_rank, sys.argv[1:], alone.world_size, alone.is_global_zero)
    one.max_epochs = 2
    first = one.global_step
    one.fit(model, rows())
    torch_threads(f"before {one.global_rank}")
    if one.global_rank:
        sys.exit(5)
    return {"steps": [first, other.global_step, alone.global_step // 2, one.global_step], "losses": len(set(losses))}


class Sleeping(torch.utils.data.Dataset):
    """One rank never gets its ninth sample."""

    def __len__(self):
        return 32

    def __getitem__(self, index):
        if index == 9 and os.environ.get("LOCAL_RANK") == "1":
            sleeps()
        return (torch.ones(4) * index,)


class Own(Net):
    """Each rank logs a name of its own."""

    def __init__(self, when):
        super().__init__()
        self.when = when

    def training_step(self, batch, batch_idx):
        loss = self.layers(batch[0]).square().mean()
        flags = {"on_step": self.when == "step", "on_epoch": self.when == "epoch"}
        self.log(f"a_{self.global_rank}", loss, sync_dist=True, **flags)
        return loss


def hanging(where):
    """Rank 1 sleeps, in its step or as it reads data, longer than the others wait."""
    strategy = DDPStrategy(timeout=timedelta(seconds=5))
    model, data = (Faulty("sleeps", 1), rows(16)) if where == "sleeps" else (Net(), DataLoader(Sleeping(), 1))
    trainer(strategy).fit(model, data)


def disagreeing(when):
    trainer(DDPStrategy(timeout=timedelta(seconds=20))).fit(Own(when), rows())


class Apart(Net):
    """At the fourth batch signals may come, and rank 0, or rank 1, does something that the other does not."""

    def __init__(self, what, numbers):
        super().__init__()
        self.what, self.numbers = what, numbers

    def training_step(self, batch, batch_idx):
        loss = self.layers(batch[0]).square().mean()
        if self.what == "logs" and batch_idx < 3:
            self.log("known", loss, sync_dist=True)
        if batch_idx == 3:
            for after, number in enumerate(self.numbers if self.global_rank == 0 else []):
                threading.Timer(0.5 + after, os.kill, (int(os.environ["LEADER"]), number)).start()
            if self.what in ("waits", "wrapped") and self.global_rank == 0:
                self.log_here(loss)
            if self.what == "others wait" and self.global_rank > 0:
                self.log_here(loss)
            if self.what == "logs" and self.global_rank == 0:
                self.log("known", loss, sync_dist=True)
            if self.what == "saves" and self.global_rank == 0:
                self.trainer.save_checkpoint("files/mine.ckpt")
            if self.what == "skips" and self.global_rank == 0:
                return None
            if self.what == "files" and self.global_rank == 1:
                writes_elsewhere()
            if self.what == "sleeps" and self.global_rank == 1:
                time.sleep(4)
            if self.what == "computes" and self.global_rank == 1:
                # In backward passes of its own, where ranks wait for one another as well.
                x, end = torch.ones(2500, 2500, requires_grad=True), time.monotonic() + 5
                while time.monotonic() < end:
                    torch.autograd.grad((x @ x @ x).sum(), x)
        return loss

    def log_here(self, loss):
        try:
            self.log("only_here", loss, sync_dist=True)
        except RuntimeError as error:
            if self.what == "wrapped":
                raise ValueError("no more than this") from error
            raise


def apart(strategy, what, *names):
    """A training whose ranks wait for one another for ever, or for long, as signals come to the program."""
    os.environ.setdefault("LEADER", str(os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else os.getpid()))
    seed_everything(7, verbose=False)
    keeps = ModelCheckpoint("files", every_n_train_steps=2, save_top_k=-1, save_on_exception=True)
    one = trainer(strategy, keeps, max_epochs=1)
    try:
        one.fit(Apart(what, [getattr(signal, name) for name in names]), rows(16))
    except BaseException as error:
        say(f"ENDED {one.global_rank} {one.global_step} {type(error).__name__}")
        raise
    finally:
        threads = sorted(thread.name for thread in threading.enumerate() if "_listen" in thread.name)
        say("LEFT", threads, signal.set_wakeup_fd(-1))


class Uneven(torch.utils.data.IterableDataset):
    """Rank 1 has fewer rows."""

    def __iter__(self):
        yield from ((torch.ones(4) * row,) for row in range(8 if os.environ["LOCAL_RANK"] == "1" else 12))


def disagreeing_at(strategy, what, devices="2"):
    """Ranks that do different things, and nobody asks them to end."""
    seed_everything(7, verbose=False)
    keeps = ModelCheckpoint("files", every_n_train_steps=2, save_top_k=-1, save_on_exception=True)
    one = trainer(strategy, keeps, max_epochs=1, devices=int(devices))
    try:
        one.fit(Apart(what, []), DataLoader(Uneven(), 2) if what == "uneven" else rows(16))
    finally:
        say(f"ENDED {one.global_rank} {one.global_step} {one.state.status}")
    return {"step": one.global_step}


class Everywhere(Net):
    def on_train_batch_end(self, outputs, batch, batch_idx):
        raises()


def alone_again():
    """Rank 0 fails alone, its script catches it and goes on: there is nobody left."""
    one = trainer("ddp", max_epochs=1)
    try:
        one.fit(Faulty("raises", 0), rows(16))
    except LookupError:
        one.fit(Net(), rows(16))


def goes_on():
    caught = ""
    try:
        trainer("ddp").fit(Everywhere(), rows(16))
    except LookupError as error:
        caught = type(error).__name__
    one = trainer("ddp", max_epochs=1)
    one.fit(Net(), rows(16))
    return {"caught": caught, "step": one.global_step}


class Crowded(DDPStrategy):
    """Somebody else wants the port where the ranks will meet, just before the first of them listens to it."""

    def _begin_group(self):
        free = is_free(self.cluster_environment.main_port)
        say(f"FREE {self.global_rank} {free}")
        if self.global_rank:
            # The first has not begun: what comes meanwhile is heard later.
            super()._begin_group()
        else:
            time.sleep(3)
            super()._begin_group()


def crowded(start_method):
    one, model = trainer(Crowded(start_method=start_method), max_epochs=1), Net()
    one.fit(model, rows(8))
    return {"step": one.global_step}


def alone_of_two(name, whom):
    """The other machine is never started; a signal comes when that has been said."""

    class Sends(logging.Handler):
        def emit(self, record):
            if record.getMessage().startswith("2 of 4 ranks are at"):
                logging.getLogger("fulgurite").removeHandler(self)
                threading.Timer(0.2, send).start()

    def send():
        Path("sent").write_text(str(time.monotonic()))
        if whom == "all":
            os.killpg(0, getattr(signal, name))
        else:
            os.kill(os.getpid(), getattr(signal, name))

    signal.signal(signal.SIGINT, signal.default_int_handler)
    meeting.FIRST_WORD = meeting.NEXT_WORD = 0.4
    logging.getLogger("fulgurite").addHandler(Sends())
    trainer("ddp", num_nodes=2).fit(Net(), rows(8))


def main():
    found = globals()[sys.argv[1]](*sys.argv[2:])
    if os.environ.get("LOCAL_RANK", "0") == "0":
        say("TOLD", json.dumps(found))


if __name__ == "__main__":
    main()
