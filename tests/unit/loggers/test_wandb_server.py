"""WandbLogger and the server: one that is there, one that is down from the start, one that goes down."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fulgurite.loggers.wandb_client as client
from fulgurite.loggers import WandbLogger
from fulgurite.testing import QUIET, TinyModule, batches
from fulgurite.trainer import Trainer
from support.wandb_file import recorded_runs
from support.wandb_stub import stop, wandb_stub

wandb = pytest.importorskip("wandb")
pytestmark = pytest.mark.usefixtures("no_run_stays_open", "the_client_stops_at_the_end")


def fitted(logger):
    trainer = Trainer(max_epochs=1, log_every_n_steps=1, **{**QUIET, "logger": logger})
    trainer.fit(TinyModule(), batches(3))


def synced(*arguments):
    """What `wandb sync` and its siblings say; the stub that WANDB_BASE_URL names gets what they send."""
    command = [str(Path(sys.executable).with_name("wandb")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def command_in(message):
    """The command between back quotes that sends the run."""
    (said,) = [each for each in message.split("`") if each.startswith("wandb sync")]
    return said.split()[1:]


def test_a_run_reaches_the_server_whole(server):
    """Rows and the end arrive, and the waits are bounded unless somebody says otherwise."""
    logger = WandbLogger(project="p")
    fitted(logger)
    settings = logger.experiment.settings
    wandb.finish()
    assert [row["trainer/global_step"] for row in server.rows if "loss" in row] == [0, 1, 2]
    assert server.ended == [0]
    assert (settings.init_timeout, settings.finish_timeout) == (client.INIT_TIMEOUT, client.FINISH_TIMEOUT)


@pytest.mark.parametrize("place", ["argument", "dict", "environment", "setup"])
def test_the_users_own_bounds_win(server, monkeypatch, place):
    """Whoever sets the client's timeouts, at any of its places, gets them; also the client's defaults."""
    bounds, settings = {"init_timeout": 90.0, "finish_timeout": 0.0}, None
    if place == "environment":
        for name, value in bounds.items():
            monkeypatch.setenv(f"WANDB_{name.upper()}", str(value))
    elif place == "setup":
        wandb.setup(settings=wandb.Settings(**bounds))
    else:
        settings = bounds if place == "dict" else wandb.Settings(**bounds, x_label="kept")
    logger = WandbLogger(project="p", **({"settings": settings} if settings else {}))
    found = logger.experiment.settings
    assert (found.init_timeout, found.finish_timeout) == (90.0, 0.0)
    assert found.x_label == ("kept" if place == "argument" else None)


@pytest.mark.parametrize("given", [None, "my_id"])
def test_a_server_that_is_down_at_the_start_stops_no_training(server, given):
    """The run is recorded offline after a bounded wait; what the line says sends it, under the id that was given."""
    stop(server)
    logger = WandbLogger(project="p", id=given, settings=wandb.Settings(init_timeout=1))
    began = time.monotonic()
    with pytest.warns(UserWarning, match=r"did not answer within 1 s: this run is recorded offline") as said:
        fitted(logger)
    took = time.monotonic() - began
    wandb.finish()

    assert took < 30
    (run,) = recorded_runs(Path())
    assert len(run.column("loss")) == 3
    assert logger.version == (given or run.run_id)
    command = command_in(next(str(each.message) for each in said if "recorded offline" in str(each.message)))
    with wandb_stub(server.server_address[1]) as back:
        synced(*command)
        assert len([row for row in back.rows if "loss" in row]) == 3
        assert {each["name"] for each in back.runs} == {logger.version}


def test_a_server_that_is_ill_at_the_start_counts_as_down(server):
    """Answers such as 503 are tried again like no answer, until the time is over."""
    server.status = 503
    logger = WandbLogger(project="p", settings={"init_timeout": 1})
    with pytest.warns(UserWarning, match="recorded offline"):
        logger.log_metrics({"a": 1.0})
    assert logger.experiment.offline


def test_two_loggers_under_a_server_that_is_down(server):
    """Each has its own offline run; the second finds the client still busy with the first."""
    stop(server)
    loggers = [WandbLogger(project="p", settings=wandb.Settings(init_timeout=1)) for _ in range(2)]
    with pytest.warns(UserWarning, match="recorded offline"):
        for number, logger in enumerate(loggers):
            logger.log_metrics({f"of_{number}": 1.0}, 0)
    for logger in loggers:
        logger.experiment.finish()
    runs = recorded_runs(Path())
    assert sorted(len(run.rows) for run in runs) == [1, 1]
    assert {run.run_id for run in runs} == {logger.version for logger in loggers}


def test_online_and_nothing_else_is_an_error_without_a_server(server):
    """`mode="online"` is the user's own word: the client's error says what failed, a note what helps."""
    stop(server)
    logger = WandbLogger(project="p", mode="online", settings=wandb.Settings(init_timeout=1))
    with pytest.raises(wandb.errors.CommError) as caught:
        logger.log_metrics({"a": 1.0})
    assert "offline=True" in caught.value.__notes__[0]


def test_what_the_server_refuses_is_an_error(server):
    """A wrong key fails at once: to record offline what will never be taken would hide it."""
    server.status = 401
    with pytest.raises(wandb.errors.CommError):
        WandbLogger(project="p").log_metrics({"a": 1.0})


def test_the_end_is_bounded_when_the_server_has_gone(server):
    """Training goes on, `finish` gives up in time, and the command in the warning sends what is missing."""
    logger = WandbLogger(project="p", settings=wandb.Settings(finish_timeout=2))
    logger.log_metrics({"loss": 1.0}, 0)
    stop(server)
    fitted(logger)
    began = time.monotonic()
    with pytest.warns(UserWarning, match=r"did not take the whole run within 2 s") as said:
        wandb.finish()
    assert time.monotonic() - began < 15

    command = command_in(next(str(each.message) for each in said if "whole run" in str(each.message)))
    with wandb_stub(server.server_address[1]) as back:
        synced(*command)
        assert len([row for row in back.rows if "loss" in row]) == 4


SCRIPT = """
from fulgurite.loggers import WandbLogger
logger = WandbLogger(project="p")
logger.log_metrics({"loss": 1.0}, 0)
input()
"""


def test_a_script_that_never_finishes_its_run_ends_in_time(server):
    """At the end of the process the same bound and the same line, without a call of `wandb.finish`."""
    environment = {**os.environ, "WANDB_FINISH_TIMEOUT": "2"}
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while "UpsertBucket" not in server.operations and time.monotonic() < deadline:
        time.sleep(0.05)
    stop(server)
    _, said = script.communicate("\n", timeout=60)
    assert "did not take the whole run within 2 s" in said
    assert script.returncode == 0


ENDING = """
import os, signal, sys, time
from fulgurite import Trainer
from fulgurite.loggers import WandbLogger
from fulgurite.testing import QUIET, TinyModule, batches

class Model(TinyModule):
    def training_step(self, batch, batch_idx):
        if batch_idx == 2:
            {what}
        return super().training_step(batch, batch_idx)

logger = WandbLogger(project="p")
Trainer(max_epochs=1, **{{**QUIET, "logger": logger}}).fit(Model(), batches(3))
"""
INTERRUPT, ASKED_TO_END = (f"os.kill(os.getpid(), signal.{name}); time.sleep(0.1)" for name in ("SIGINT", "SIGTERM"))


@pytest.mark.parametrize(
    ("what", "code"),
    [
        pytest.param("pass", 0, id="well", marks=pytest.mark.slow),
        pytest.param("raise ValueError", 1, id="exception", marks=pytest.mark.slow),
        pytest.param("sys.exit(3)", 3, id="exit", marks=pytest.mark.slow),
        pytest.param(INTERRUPT, 255, id="Ctrl-C"),
        pytest.param(ASKED_TO_END, 143, id="SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_a_run_ends_as_its_script_does(server, what, code):
    """Without a call of `wandb.finish`, the run has the code that the client itself would give it."""
    subprocess.run([sys.executable, "-c", ENDING.format(what=what)], env=os.environ, timeout=60, capture_output=True)

    assert server.ended == [code]
