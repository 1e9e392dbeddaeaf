"""What happens when one of several processes fails, hangs, is killed, or is asked to end."""

import re
import sys
from pathlib import Path

import pytest

from support.launching import SCRIPT, TORCHRUN, launched

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and process groups")

SLOW = pytest.mark.slow
SOON = 60
"""Seconds that no run here needs on a busy machine; torch's own timeout is half an hour."""


def steps(outcome):
    """The step at which each rank's run ended, where the ranks print."""
    return {int(rank): int(step) for rank, step in re.findall(r"ENDED (\d) (\d+)", outcome.said)}


def test_a_rank_that_raises_ends_the_run(tmp_path):
    """Rank 0's error is the other's own, with its traceback."""
    done = launched("faulty", "ddp", "raises", "1", folder=tmp_path, limit=SOON)

    assert done.code == 1 and not done.left, done.said
    assert "RankFailed: Rank 1 failed, and the run with it: LookupError: no such thing" in done.said
    assert 'in raises\n[rank0]:     raise LookupError("no such thing")' in done.said
    assert "Connection closed" not in done.said


def test_a_forked_rank_that_is_killed_is_named(tmp_path):
    done = launched("faulty", "ddp_fork", "kill", "1", folder=tmp_path, limit=SOON)

    assert done.code == 1 and not done.left, done.said
    assert "RankFailed: Rank 1 was ended by SIGKILL, and the run with it." in done.said


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork", "ddp_spawn"])
@pytest.mark.parametrize(
    ("act", "rank", "tells"),
    [
        ("raises", 0, "LookupError: no such thing"),
        ("raises", 1, "RankFailed: Rank 1 failed, and the run with it: LookupError: no such thing"),
        ("kill", 1, "RankFailed: Rank 1 was ended by SIGKILL, and the run with it."),
        ("leaves", 1, "RankFailed: Rank 1 ended with exit code 3; see its output above."),
    ],
)
def test_a_rank_that_fails(strategy, act, rank, tells, tmp_path):
    done = launched("faulty", strategy, act, str(rank), folder=tmp_path, limit=SOON)

    assert done.code == 1 and not done.left and tells in done.said, done.said


def test_a_forked_run_is_asked_to_end(tmp_path):
    """SIGTERM to the program goes to its ranks; they end after the same batch, and a file is written."""
    ended = launched("faulty", "ddp_fork", "term_parent", "0", "2", folder=tmp_path, limit=SOON, PACE="0.1")

    assert ended.code == 143 and not ended.left, ended.said
    assert 0 < steps(ended)[0] < 8 and (tmp_path / "files/last.ckpt").exists()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork"])
@pytest.mark.parametrize(("act", "code"), [("term", 143), ("term_parent", 143), ("int", 130), ("int_to_all", 130)])
def test_signals(strategy, act, code, tmp_path):
    """To the program, to one rank of it, or to all: all end after the same batch, and the run goes on exactly."""
    ended = launched("faulty", strategy, act, "1", "2", folder=tmp_path / "it", limit=SOON, PACE="0.1")
    on = launched("faulty", strategy, "nothing", "0", "2", "last", folder=tmp_path / "it", limit=SOON)
    alone = launched("faulty", strategy, "nothing", "0", "2", folder=tmp_path / "alone", limit=SOON)

    assert ended.code in (code, -2 if code == 130 else code) and not ended.left, ended.said
    assert len(set(steps(ended).values())) == 1 and 0 < steps(ended)[0] < 8
    assert on.told == alone.told, on.said


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork"])
def test_a_second_ctrl_c_ends_at_once(strategy, tmp_path):
    done = launched("faulty", strategy, "int_twice", "0", folder=tmp_path, limit=SOON)

    assert done.code in (130, -2) and "KeyboardInterrupt" in done.said and not done.left, done.said
    assert set(steps(done).values()) == {3}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork"])
def test_nothing_outlives_a_program_that_is_killed(strategy, tmp_path):
    """Ranks of a script end at once; those that a program has forked save what they know first."""
    done = launched("faulty", strategy, "kill_parent", "1", folder=tmp_path, limit=SOON, PACE="0.1")

    assert done.code == -9 and not done.left, done.said
    assert list(Path(tmp_path).rglob("last.ckpt")) or strategy == "ddp"


@pytest.mark.slow
@pytest.mark.parametrize("where", ["sleeps", "data"])
def test_a_rank_that_hangs_is_named(where, tmp_path):
    """After the timeout of the strategy the error says who did not come, and at which line each rank is."""
    done = launched("hanging", where, folder=tmp_path, limit=SOON)

    assert done.code == 1 and not done.left, done.said
    assert "Timed out" in done.said and "Rank 1 did not come, or is gone." in done.said
    assert re.search(r"rank 1: in .*, epoch 0, batch \d, at .*launched.py:\d+ `time.sleep\(500\)`", done.said)
    assert re.search(r"rank 0: in .*, epoch 0, batch \d, at .*launched.py:\d+ `.*`, inside", done.said)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["epoch", "step"])
def test_ranks_that_log_different_names_are_told(when, tmp_path):
    done = launched("disagreeing", when, folder=tmp_path, limit=SOON)

    assert done.code == 1 and not done.left and "RanksDisagree" in done.said, done.said
    assert "'a_0'" in done.said and "'a_1'" in done.said


@pytest.mark.slow
def test_a_failure_that_all_share_leaves_the_script_to_go_on(tmp_path):
    """Each rank raises the same, each script catches it, and the next fit works."""
    done = launched("goes_on", folder=tmp_path, limit=SOON)

    assert done.code == 0 and done.told == {"caught": "LookupError", "step": 8}, done.said


@pytest.mark.slow
def test_a_failure_of_one_rank_that_its_script_catches_leaves_nobody_to_go_on_with(tmp_path):
    done = launched("alone_again", folder=tmp_path, limit=SOON)

    assert done.code == 1 and not done.left, done.said
    assert "RankFailed: The processes of this script ended with an earlier run: Rank 0 failed" in done.said


def check_freed(done, folder, code, error):
    # Python itself ends by the signal after a KeyboardInterrupt.
    assert done.code in (code, -2 if code == 130 else code) and not done.left, done.said
    assert re.search(r"\n  rank 0: .*, epoch 0, batch 3, at .*launched.py:\d+ `self.log\(", done.said)
    assert re.search(r"\n  rank 1: .*, epoch 0, batch 3, at .*\(_engine_run_backward\)", done.said)
    assert done.said.count("Rank 1 is ended, so that the others come back") == 1
    assert f"The newest checkpoint before is '{folder}/files/epoch=0-step=2.ckpt'." in done.said
    assert f"ENDED 0 3 {error}" in done.said and "LEFT [] -1" in done.said, done.said
    assert sorted(path.name for path in (folder / "files").iterdir()) == ["epoch=0-step=2.ckpt", "epoch=0-step=3.ckpt"]


@pytest.mark.parametrize("strategy", ["ddp", *(pytest.param(f"ddp_{how}", marks=SLOW) for how in ("fork", "spawn"))])
@pytest.mark.parametrize(
    ("name", "code", "error"),
    [("SIGTERM", 143, "SIGTERMException"), pytest.param("SIGINT", 130, "KeyboardInterrupt", marks=SLOW)],
)
def test_ranks_that_wait_for_one_another_end_when_asked_to(strategy, name, code, error, tmp_path):
    """The message says where each of them is; rank 0 comes back, and saves what it knows."""
    done = launched("apart", strategy, "waits", name, folder=tmp_path, limit=SOON, STILL="1.5")

    check_freed(done, tmp_path, code, error)
    assert "the ranks wait for one another, each at another place, and none has moved for 2 s:" in done.said
    assert ("Ctrl-C: training ends after this batch. Press it again" in done.said) == (name == "SIGINT")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "ddp_fork"])
def test_a_second_ctrl_c_ends_ranks_that_wait_for_one_another(strategy, tmp_path):
    done = launched("apart", strategy, "waits", "SIGINT", "SIGINT", folder=tmp_path, limit=SOON, STILL="300")

    check_freed(done, tmp_path, 130, "KeyboardInterrupt")
    assert re.search(r"Ctrl-C came twice, and rank \d can't hear it inside torch:", done.said), done.said


@pytest.mark.slow
@pytest.mark.parametrize("what", ["sleeps", "computes"])
def test_a_long_step_is_finished_before_a_run_ends(what, tmp_path):
    """One rank sleeps or computes far longer than ranks may stand still, and the other waits for it."""
    done = launched("apart", "ddp", what, "SIGTERM", folder=tmp_path, limit=SOON, STILL="1")

    assert done.code == 143 and not done.left and "is ended" not in done.said, done.said
    assert re.findall(r"ENDED . (\d+) SIGTERMException", done.said) in (["4", "4"], ["5", "5"])


DEADLOCK = {"FULGURITE_DEADLOCK_SECONDS": "2"}
LOGS, LEARNS = "at \"the first self.log('only_here', on_step=True, sync_dist=True)\"", "in the backward pass"


@pytest.mark.parametrize(
    ("what", "strategy", "rank_0", "rank_1"),
    [
        ("waits", "ddp", LOGS, LEARNS),
        pytest.param("waits", "ddp_fork", LOGS, LEARNS, marks=SLOW),
        pytest.param("waits", "ddp_spawn", LOGS, LEARNS, marks=SLOW),
        pytest.param("logs", "ddp", "in training_step", LEARNS, marks=SLOW),
        pytest.param("saves", "ddp", "at 'what each rank knows'", LEARNS, marks=SLOW),
        pytest.param("skips", "ddp", "at 'broadcast'", LEARNS, marks=SLOW),
        pytest.param("uneven", "ddp", LEARNS, "at 'the end of an epoch'", marks=SLOW),
    ],
)
def test_ranks_that_wait_for_one_another_for_ever_are_told(what, strategy, rank_0, rank_1, tmp_path):
    """Nobody asked them to end, and the timeout is half an hour away."""
    done = launched("disagreeing_at", strategy, what, folder=tmp_path, limit=SOON, **DEADLOCK)

    assert done.code == 1 and not done.left, done.said
    assert (
        "RanksDisagree: The ranks wait for one another, each at another place, and none has moved for 2 s:" in done.said
    )
    assert re.search(rf"\n.*  rank 0: .*{re.escape(rank_0)}, epoch 0, batch [34], at ", done.said), done.said
    assert re.search(rf"\n.*  rank 1: .*{re.escape(rank_1)}, epoch 0, batch [34], at ", done.said), done.said
    assert (
        "or one of them has fewer batches" in done.said and "Rank 1 is ended, so that the others come back" in done.said
    )
    assert re.search(r"ENDED 0 \d interrupted", done.said) and len(list((tmp_path / "files").iterdir())) > 1


@pytest.mark.slow
@pytest.mark.parametrize("what", ["sleeps", "computes", "files"])
def test_a_long_step_is_not_taken_for_that(what, tmp_path):
    """One rank waits for the other, which sleeps, computes, or waits for a file far longer than ranks may."""
    done = launched("disagreeing_at", "ddp", what, folder=tmp_path, limit=SOON, FULGURITE_DEADLOCK_SECONDS="1")

    assert done.code == 0 and not done.left and done.told["step"] == 8, done.said


@pytest.mark.slow
@pytest.mark.parametrize("what", ["others wait", "waits", "skips"])
@pytest.mark.parametrize("devices", ["3", "4"])
def test_rank_0_comes_back_and_saves_however_many_there_are(what, devices, tmp_path):
    """It may wait for one of those in between, which does not feel that the last one has ended."""
    done = launched("disagreeing_at", "ddp", what, devices, folder=tmp_path, limit=SOON, **DEADLOCK)

    assert done.code == 1 and not done.left, done.said
    assert "[rank0]: fulgurite.base.errors.RanksDisagree: The ranks wait for one another" in done.said
    assert re.search(r"ENDED 0 [34] interrupted", done.said) and "Rank 0 ends" not in done.said
    steps = {"others wait": 3, "waits": 3, "skips": 4}
    assert (tmp_path / "files" / f"epoch=0-step={steps[what]}.ckpt").exists()


@pytest.mark.slow
def test_an_error_of_the_scripts_own_does_not_hide_where_ranks_were(tmp_path):
    done = launched("disagreeing_at", "ddp", "wrapped", folder=tmp_path, limit=SOON, **DEADLOCK)

    assert done.code == 1 and not done.left, done.said
    assert "[rank0]: ValueError: no more than this" in done.said
    assert "RanksDisagree: The ranks wait for one another" in done.said
    assert f"rank 0: waits for the others {LOGS}" in done.said


@pytest.mark.slow
def test_torchrun_hears_why_ranks_were_ended(tmp_path):
    run = (*TORCHRUN, "--standalone", "--nproc-per-node", "2", str(SCRIPT))

    done = launched("disagreeing_at", "auto", "waits", folder=tmp_path, limit=SOON, command=run, **DEADLOCK)

    assert done.code == 1 and not done.left, done.said
    assert (tmp_path / "files" / "epoch=0-step=3.ckpt").exists()
    cause = done.said.rsplit("Root Cause", 1)[-1]
    assert "RanksDisagree: The ranks wait for one another, each at another place" in cause, done.said


@pytest.mark.slow
def test_ranks_under_torchrun_that_wait_for_one_another_end_when_it_is_asked_to(tmp_path):
    run = (*TORCHRUN, "--standalone", "--nproc-per-node", "2", str(SCRIPT))

    done = launched("apart", "auto", "waits", "SIGTERM", folder=tmp_path, limit=SOON, command=run, STILL="1.5")

    check_freed(done, tmp_path, 1, "SIGTERMException")
