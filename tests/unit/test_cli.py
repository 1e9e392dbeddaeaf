"""`fulgurite run` behaves as `python` does, except that Lightning's names mean Fulgurite's objects."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fulgurite.cli import main
from support.tfevents import values_in

WHO = """
import json, sys
import pytorch_lightning, lightning.pytorch
print(json.dumps([sys.argv, sys.path[0], __name__, __file__, type(pytorch_lightning).__name__]))
"""


def fulgurite(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "fulgurite", *words], capture_output=True, text=True, timeout=120, **options
    )


def write(path, text):
    Path(path).write_text(text)
    return Path(path)


def test_a_script_sees_what_python_would_show_it(tmp_path):
    """Arguments, options that look like ours included, the script's folder first on the path, and `__main__`."""
    (tmp_path / "sub").mkdir()
    script = write(tmp_path / "sub" / "train.py", WHO)

    done = fulgurite("run", "sub/train.py", "--help", "-m", "--", "--version", cwd=tmp_path)

    argv = '["sub/train.py", "--help", "-m", "--", "--version"]'
    assert done.stdout == f'[{argv}, "{script.parent}", "__main__", "{script}", "AliasModule"]\n', done.stderr
    assert done.returncode == 0


def test_a_module_runs_with_dash_m(tmp_path):
    """`fulgurite run -m package.train` is `python -m package.train`."""
    (tmp_path / "package").mkdir()
    script = write(tmp_path / "package" / "train.py", WHO)

    done = fulgurite("run", "-m", "package.train", "-x", cwd=tmp_path)

    assert done.stdout == f'[["{script}", "-x"], "{tmp_path}", "__main__", "{script}", "AliasModule"]\n', done.stderr


@pytest.mark.parametrize(
    ("body", "code", "error"),
    [
        ("import sys; sys.exit(7)", 7, ""),
        ("raise SystemExit('no data')", 1, "no data\n"),
        ("raise SystemExit", 0, ""),
        ("def f():\n    1 / 0\nf()", 1, None),
        ("import missing_module", 1, None),
        ("x = (", 1, None),
    ],
)
def test_exit_codes_and_tracebacks_are_pythons(tmp_path, body, code, error):
    """What a failing script prints and returns does not differ from `python script.py` by a character."""
    script = write(tmp_path / "script.py", body)
    plain = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)

    done = fulgurite("run", str(script))

    assert (done.returncode, done.stderr) == (plain.returncode, plain.stderr)
    assert done.returncode == code
    assert error is None or done.stderr == error


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_ctrl_c_ends_the_process_as_in_python(tmp_path):
    """The shell sees the signal, so loops around the command stop too."""
    script = write(
        tmp_path / "script.py", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(9)"
    )

    done = fulgurite("run", str(script))

    assert done.returncode == -signal.SIGINT
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert "cli.py" not in done.stderr


WORKERS = """
import multiprocessing, sys
import pytorch_lightning

class OfMain: ...

def look(thing):
    import lightning
    return type(thing).__name__, type(lightning).__name__

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        print(*pool.apply(look, (OfMain(),)))
"""


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_workers_find_the_same_names(tmp_path, start):
    """However a worker starts, the script it imports again finds Fulgurite under Lightning's names."""
    done = fulgurite("run", str(write(tmp_path / "script.py", WORKERS)), start)

    assert done.stdout == "OfMain AliasModule\n", done.stderr


def test_other_programs_of_the_script_are_left_alone(tmp_path):
    """A child that is neither a worker nor the same script gets no aliases; the user's `sitecustomize` still runs."""
    write(tmp_path / "sitecustomize.py", "print('mine')")
    look = "import sys; print([type(f).__name__ for f in sys.meta_path].count('Aliases'))"
    script = write(tmp_path / "script.py", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {look!r}])")

    done = fulgurite("run", str(script), env={"PYTHONPATH": str(tmp_path), "PATH": ""})

    assert sorted(done.stdout.split()) == ["0", "mine", "mine"], done.stderr


def test_a_script_that_is_not_there_exits_2():
    """As in Python, with the folder that was looked in."""
    done = fulgurite("run", "nope.py")

    assert done.returncode == 2
    assert "no such script: 'nope.py'" in done.stderr


def test_help_and_version_print_and_exit_0(capsys):
    """Both are words to read, not errors."""
    said = {"--help": "fulgurite run train.py", "run --help": "target", "--version": "fulgurite 0."}
    for words, expected in said.items():
        with pytest.raises(SystemExit) as end:
            main(words.split())
        assert end.value.code == 0
        assert expected in capsys.readouterr().out
    assert main([]) == 0


@pytest.mark.parametrize(
    ("word", "said"),
    [("rum", "Did you mean 'run'?"), ("train.py", "fulgurite run train.py"), ("xyz", "There is: run")],
)
def test_an_unknown_command_gets_the_nearest(capsys, word, said):
    """A typing error is answered with the word that was probably meant."""
    with pytest.raises(SystemExit) as end:
        main([word])

    assert end.value.code == 2
    assert said in capsys.readouterr().err


TENSORBOARD = """
import lightning.pytorch as pl
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import TensorBoardLogger
import pytorch_lightning.loggers.tensorboard as old

assert old.TensorBoardLogger is TensorBoardLogger

class Model(BoringModel):
    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)["loss"]
        self.log("loss", loss)
        self.logger.experiment.add_histogram("weights", self.layer.weight, self.global_step)
        return loss

logger = TensorBoardLogger("tb_logs", name="my_model")
pl.Trainer(max_epochs=1, limit_train_batches=3, log_every_n_steps=1, logger=logger).fit(Model())
"""


def test_a_script_with_tensorboard_runs_unmodified(tmp_path):
    """Lightning's import, its folders, and the writer's own methods behind `logger.experiment`."""
    pytest.importorskip("tensorboard")
    write(tmp_path / "train.py", TENSORBOARD)

    done = fulgurite("run", "train.py", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    values = values_in(tmp_path / "tb_logs" / "my_model" / "version_0")
    assert [each.step for each in values if each.tag == "loss"] == [0, 1, 2]
    assert [each.plugin for each in values if each.tag == "weights"] == ["histograms"] * 3
