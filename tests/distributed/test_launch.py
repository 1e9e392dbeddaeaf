"""However the processes of a run begin, they train the same, and the program knows the same afterwards."""

import re
import signal
import socket
import sys
import time

import pytest

from support.launching import SCRIPT, TORCHRUN, launched

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and process groups")


def without_places(told):
    return {name: value for name, value in told.items() if name != "best"}


def test_forked_processes_leave_what_the_script_started_anew_leaves(tmp_path):
    """After a fit, a second one, validate, test and predict on one Trainer: weights, metrics, callbacks, loggers."""
    again = launched("all_verbs", "ddp", folder=tmp_path / "ddp")
    forked = launched("all_verbs", "ddp_fork", folder=tmp_path / "fork")

    assert again.code == forked.code == 0, again.said + forked.said
    assert without_places(forked.told) == without_places(again.told)
    assert again.told["step"] == 8 and again.told["later_step"] == 12 and again.told["fits"] == 2
    assert forked.told["files"] == ["version_0"] and forked.told["same"] and forked.told["knows_trainer"]
    assert forked.told["best"] == str(tmp_path / "fork/files/1.ckpt")
    assert not again.left and not forked.left


@pytest.mark.slow
def test_so_do_spawned_ones(tmp_path):
    again = launched("all_verbs", "ddp", folder=tmp_path / "ddp")
    spawned = launched("all_verbs", "ddp_spawn", folder=tmp_path / "spawn")

    assert without_places(spawned.told) == without_places(again.told), spawned.said


def test_a_script_of_many_turns(tmp_path):
    """It changes folder and arguments first, and has three Trainers, one of them on one device; rank 1 exits with 5."""
    (tmp_path / "place").mkdir()

    done = launched("many_turns", "place", folder=tmp_path)

    assert done.code == 5, done.said
    assert done.told["steps"] == [4, 4, 4, 8] and done.told["losses"] == 1
    assert [file.name for file in (tmp_path / "place").rglob("*.ckpt")] == ["epoch=0-step=8.ckpt"]
    assert "RANK 1 ['place', 'more'] 1 False" in done.said and "RANK 0 ['place', 'more'] 1 True" in done.said
    assert not done.left
    # The group of the last meeting is gone before the interpreter is; torch keeps the one that DDP has used.
    threads = re.findall(r"THREADS (before|after) (.) (\d+) (\d+)", done.said)
    threads = {(when, rank): (int(groups), int(stores)) for when, rank, groups, stores in threads}
    # All ranks', the one beside it, and that of values of a step, which only a CPU has.
    groups = 6 if "over gloo" in done.said else 4
    if sys.platform == "linux":
        assert threads["before", "0"] == (groups, 2) and threads["after", "0"] <= (2, 1)
        assert threads["before", "1"] == (groups, 0) and threads["after", "1"] <= (2, 0)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["module", "command", "-c", "run"])
def test_other_ways_to_begin_a_program(how, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    text = SCRIPT.read_text()
    (package / "program.py").write_text(text)
    command = tmp_path / "command"
    command.write_text(f"#!{sys.executable}\nimport sys\nfrom support.launched import main\nsys.exit(main())\n")
    command.chmod(0o755)
    begin = {
        "module": [sys.executable, "-m", "package.program"],
        "command": [str(command)],
        "-c": [sys.executable, "-c", "from support.launched import main; main()"],
        "run": [sys.executable, "-m", "fulgurite", "run", str(package / "program.py")],
    }

    done = launched("faulty", "ddp", "nothing", "0", "1", folder=tmp_path, command=begin[how])

    assert done.code == 0 and done.told["step"] == 8, done.said


def test_a_program_from_standard_input_cannot_begin_again(tmp_path):
    (tmp_path / "fed.py").write_text(
        "from fulgurite import Trainer\nfrom fulgurite.testing import *\n"
        "Trainer(devices=2, **QUIET).fit(TinyModule(), batches())"
    )

    done = launched(folder=tmp_path, command=["sh", "-c", f"{sys.executable} < fed.py"])

    assert done.code == 1 and "strategy='ddp' starts the running script once for each device" in done.said


@pytest.mark.slow
def test_torchrun_and_the_number_of_its_processes(tmp_path):
    """`devices="auto"` takes as many as were started; the same number is accepted, another one refused."""
    run = (*TORCHRUN, "--standalone", "--nproc-per-node", "2", str(SCRIPT))
    auto = launched("under_torchrun", "auto", folder=tmp_path / "auto", command=run)
    said = launched("under_torchrun", "2", folder=tmp_path / "two", command=run)
    wrong = launched("under_torchrun", "3", folder=tmp_path / "three", command=run)

    assert auto.told == said.told and auto.told["world"] == 2 and auto.told["kind"] == "DDPStrategy", auto.said
    assert wrong.code == 1 and "devices=3, num_nodes=1) means 3 processes, but torchrun started 2" in wrong.said


@pytest.mark.slow
@pytest.mark.parametrize("meets", [("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"), ()])
def test_torchrun_restarts_a_run_that_goes_on_exactly(meets, tmp_path):
    """A rank is killed in the middle of an epoch; after the restart the run ends as the one that was left alone."""
    options = ("--nnodes", "1", "--nproc-per-node", "2", "--max-restarts", "1")
    run = (*TORCHRUN, *meets, *options, str(SCRIPT))
    alone = launched("under_torchrun", "2", folder=tmp_path / "alone", command=run)

    restarted = launched("under_torchrun", "2", "kill", "1", folder=tmp_path / "killed", command=run, PACE="0.1")

    assert restarted.code == 0 and restarted.told == alone.told, restarted.said
    assert "Restoring states" in restarted.said and "Restoring states" not in alone.said


@pytest.mark.slow
def test_torchrun_shows_the_traceback_of_the_rank_that_failed(tmp_path):
    run = (*TORCHRUN, "--standalone", "--nproc-per-node", "2", str(SCRIPT))

    done = launched("under_torchrun", "2", "raises", "1", folder=tmp_path, command=run)

    cause = done.said.split("Root Cause")[1]
    assert done.code == 1 and "rank      : 1" in cause and "LookupError: no such thing" in cause


HYDRA = """
import os
import hydra
from hydra.core.hydra_config import HydraConfig
from fulgurite import Trainer
from fulgurite.testing import QUIET, TinyModule, batches

@hydra.main(version_base=None, config_name=None)
def main(config):
    one = Trainer(max_epochs=1, devices=2, **QUIET)
    one.fit(TinyModule(), batches())
    place = HydraConfig.get().runtime.output_dir
    with open(f"rank-{one.global_rank}-{config.lr}", "w") as file:
        file.write(os.path.relpath(place, "..") if os.getcwd() == place else os.getcwd())

main()
"""


@pytest.mark.slow
def test_processes_under_hydra_share_the_folder_of_the_run(tmp_path):
    """A single run that changes into its folder, and a sweep."""
    pytest.importorskip("hydra")
    (tmp_path / "program.py").write_text(HYDRA)
    begin = [sys.executable, "program.py"]

    once = launched("+lr=3", "hydra.job.chdir=true", folder=tmp_path, command=begin)
    swept = launched("hydra.job.chdir=true", "+lr=1,2", "-m", folder=tmp_path, command=begin)

    assert once.code == swept.code == 0, once.said + swept.said
    for lr in (1, 2, 3):
        both = sorted(tmp_path.rglob(f"rank-?-{lr}"))
        assert len(both) == 2 and both[0].parent == both[1].parent and (both[0].parent / ".hydra").is_dir()


@pytest.mark.parametrize("start_method", ["popen", pytest.param("spawn", marks=pytest.mark.slow), "fork"])
def test_nobody_takes_the_port_before_the_ranks_meet(start_method, tmp_path):
    """It is held from when it is found, and rank 0 goes on with it; the others may come before that."""
    done = launched("crowded", start_method, folder=tmp_path)

    assert done.code == 0 and done.told == {"step": 4}, done.said
    assert "FREE 0 False" in done.said and "FREE 1 False" in done.said
    assert "retrying" not in done.said and not done.left


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code", "word"), [("SIGTERM", 143, "SIGTERM"), ("SIGINT", -signal.SIGINT, "Ctrl-C")])
@pytest.mark.parametrize("whom", ["first", "all"])
def test_ranks_that_have_not_met_can_be_ended(name, code, word, whom, tmp_path):
    """Those of another machine are never started: who is missing is said, and a signal ends all within seconds."""
    began = time.monotonic()
    done = launched("alone_of_two", name, whom, folder=tmp_path, limit=60)

    assert done.code == code and not done.left, done.said
    assert began + done.seconds - float((tmp_path / "sent").read_text()) < 10
    said = r"2 of 4 ranks are at 127.0.0.1:\d+ and wait for ranks 2, 3"
    assert re.search(rf"^{said}; the wait ends at .*\.$", done.said, re.MULTILINE)
    assert len(re.findall(rf"^Ended by {word} before the ranks had met: {said}\.$", done.said, re.MULTILINE)) == 1
    assert "train together" not in done.said and "neither MASTER_ADDR nor NODE_RANK is set" in done.said


def test_a_port_of_another_run(tmp_path):
    """None of the processes meets those of the other: none is started."""
    with socket.create_server(("", 0)) as other:
        port = str(other.getsockname()[1])
        done = launched("faulty", "ddp", "nothing", "0", "1", folder=tmp_path, MASTER_PORT=port)

    assert done.code == 1 and f"can't listen to port {port}, which MASTER_PORT names" in done.said
    assert "EADDRINUSE" not in done.said and not done.left
