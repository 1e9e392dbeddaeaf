"""Each example runs from a shell in seconds, under Fulgurite's name and, unmodified, under Lightning's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SEED_FILES = ("data.py", "model.py", "train.py")
ONE_THREAD = dict(os.environ, OMP_NUM_THREADS="1")  # as in the other tests: these models are too small for more
QUICK = ("--epochs", "3")
PIECES = sorted(file for kind in ("callbacks", "loggers", "profilers", "plugins", "strategies", "tuner")
                for file in (EXAMPLES / kind).glob("*.py"))  # fmt: skip

NEEDS = {
    "comet_logger": "comet_ml",
    "deepspeed_strategy": "deepspeed",
    "device_stats_monitor": "psutil",
    "mlflow_logger": "mlflow",
    "tensorboard_logger": "tensorboard",
}


def start(*words, folder, patience=250):
    """Run a command and return its standard output; a failure shows everything that was said."""
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=ONE_THREAD, capture_output=True, text=True, timeout=patience)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return done.stdout


def under_lightnings_name(source, target):
    """Copy an example with its imports of `fulgurite` saying `pytorch_lightning`, and nothing else changed."""
    text, count = re.subn(r"^(import|from) fulgurite", r"\1 pytorch_lightning", source.read_text(), flags=re.MULTILINE)
    target.write_text(text)
    return count


def loss_in(said):
    """The test loss that the seed program printed, as printed."""
    return re.search(r"^test_loss +([\d.]+)", said, re.MULTILINE)[1]


@pytest.fixture(autouse=True)
def with_its_packages():
    pytest.importorskip("pandas")


@pytest.mark.parametrize("file", PIECES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_the_example_of_a_piece_runs(tmp_path, file):
    """What its documentation page shows runs as it stands, in an empty folder, and says what came of it."""
    if file.stem in NEEDS:
        pytest.importorskip(NEEDS[file.stem])
    assert start(file, folder=tmp_path, patience=120).strip()


def test_the_minimal_example_learns_its_line(tmp_path):
    """Slope and offset come out near 3 and 1."""
    said = start(EXAMPLES / "minimal.py", folder=tmp_path)

    slope, offset = re.findall(r": (-?[\d.]+)", said.strip().splitlines()[-1])
    assert (float(slope), float(offset)) == pytest.approx((3, 1), abs=0.1)


def test_the_gan_moves_towards_its_data(tmp_path):
    """Two optimizers that take turns: the drawn mean ends near 4, and every step of both is counted."""
    said = start(EXAMPLES / "manual_optimization.py", folder=tmp_path)

    (mean,) = re.findall(r"drawn: mean ([\d.]+) after 640 optimizer steps", said)
    assert float(mean) == pytest.approx(4, abs=1)


def test_the_seed_program_runs_twice_in_one_folder(tmp_path):
    """Each run loads the weights that it has just trained: one checkpoint, replaced."""
    for seed in (0, 1):
        said = start(EXAMPLES / "seed" / "train.py", *QUICK, "--out", "out", "--seed", seed, folder=tmp_path)
        assert "loaded again it gives the same scores" in said

    assert [path.name for path in (tmp_path / "out" / "model_checkpoints").iterdir()] == ["vae_weights.ckpt"]
    assert (tmp_path / "out" / "scores.csv").exists()


def test_the_seed_program_runs_unmodified_under_lightnings_name(tmp_path):
    """With `import pytorch_lightning as pl` and `fulgurite run`, the same run to the same last digit."""
    replaced = [under_lightnings_name(EXAMPLES / "seed" / name, tmp_path / name) for name in SEED_FILES]
    assert replaced == [0, 1, 3]

    ours = start(EXAMPLES / "seed" / "train.py", *QUICK, "--out", "ours", folder=tmp_path)
    theirs = start("-m", "fulgurite", "run", "train.py", *QUICK, "--out", "theirs", folder=tmp_path)

    assert (tmp_path / "theirs" / "scores.csv").read_text() == (tmp_path / "ours" / "scores.csv").read_text()
    assert loss_in(ours) == loss_in(theirs)


def test_the_seed_program_reads_any_csv(tmp_path):
    """Columns are guessed and named; rows that are incomplete are counted, not hidden; a picture is drawn."""
    pytest.importorskip("matplotlib")
    rows = [f"{i},2024-01-{1 + i // 24:02d}T{i % 24:02d}:00:00+01:00,{i % 24}" for i in range(600)]
    (tmp_path / "mine.csv").write_text("\n".join(["id,Date,y", *rows, "600,2024-01-26T00:00:00+01:00,"]))

    said = start(EXAMPLES / "seed" / "train.py", "--data", "mine.csv", "--epochs", 1, folder=tmp_path)

    assert "mine.csv: 600 rows, time from 'Date', value from 'y', 1 incomplete rows left out" in said
    assert (tmp_path / "seed_run" / "seed.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("text", "problem"), [("a,b\n1,2\n", "a column of times"), ("time,y\n2024-01-01,1\n", "1 rows")]
)
def test_a_csv_that_cannot_be_used_says_why(tmp_path, text, problem):
    """The error names the file and what it lacks."""
    (tmp_path / "bad.csv").write_text(text)
    command = [sys.executable, str(EXAMPLES / "seed" / "train.py"), "--data", "bad.csv"]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert "bad.csv" in done.stderr.splitlines()[-1] and problem in done.stderr.splitlines()[-1]


def test_scaling_and_codes_come_from_the_training_rows(tmp_path):
    """The test rows have their own mean, and a category that training never saw gets the unknown code."""
    program = (
        f"import sys; sys.path.insert(0, {str(EXAMPLES / 'seed')!r})\n"
        "import data, pathlib, pandas as pd\n"
        "series = data.made_up_series(rows=240)\n"
        "series.train_share = 0.1\n"
        "sizes = data.write_tables(series, pathlib.Path('.'))\n"
        "train, test = pd.read_csv('train.csv'), pd.read_csv('test.csv')\n"
        "print(sizes, len(train), len(test), abs(train.value.mean()) < 1e-9, abs(test.t.mean()) > 1,\n"
        "      sorted(test.day_of_week.unique()) == [0, 1], *data.TsDataset('both', '.')[0][0].shape)\n"
    )

    assert start("-c", program, folder=tmp_path) == "[2, 2] 24 216 True True True 4\n"


def test_a_notebook_trains_with_ddp_notebook(tmp_path):
    """`strategy='ddp_notebook'` with one device is no error in an interactive shell."""
    pytest.importorskip("IPython")
    script = (EXAMPLES / "minimal.py").read_text()
    cells = [
        "import sys; sys.ps1 = 'In: '",
        script.replace("max_epochs=20", "strategy='ddp_notebook', devices=1, max_epochs=2"),
        "print('steps', trainer.global_step, type(trainer.strategy).__name__)",
    ]
    program = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        f"shell = InteractiveShell.instance()\n"
        f"for cell in {cells!r}:\n"
        "    shell.run_cell(cell).raise_error()\n"
    )

    assert "steps 8 SingleDeviceStrategy" in start("-c", program, folder=tmp_path)


MACHINE = EXAMPLES.parents[1] / "shared" / "data" / "nab" / "machine_temperature_system_failure.csv"


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.skipif(not MACHINE.exists(), reason="the series is not beside the checkout")
def test_the_published_result_comes_out_again(tmp_path):
    """60 epochs: a test loss of 0.02 to 0.05, and seven rows flagged, all in the failure of February."""
    import pandas as pd

    program = EXAMPLES / "seed" / "train.py"
    said = start(program, "--data", MACHINE, "--epochs", 60, "--out", "out", folder=tmp_path, patience=900)

    found = pd.read_csv(tmp_path / "out" / "scores.csv", parse_dates=["time"])
    flagged = found[found["score"] > found["score"].quantile(0.999)]
    assert 0.02 <= float(loss_in(said)) <= 0.05
    assert len(found) == 6809 and len(flagged) == 7
    assert flagged["time"].between("2014-02-07 14:55", "2014-02-09 14:05").all()
