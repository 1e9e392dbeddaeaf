"""`fulgurite export` and `fulgurite import` at the prompt."""

import subprocess
import sys

import pytest

from fulgurite.cli import main
from fulgurite.track.store.store import Store


@pytest.fixture
def data(tmp_path):
    store = Store(tmp_path / "data")
    for project, name in (("p", "r1"), ("p", "r2"), ("q", "r1")):
        run, _ = store.runs.open(store.runs.project(project, create=True), name)
        store.history.append(run.id, [(0, {"loss": 1.0})])
    store.close()
    return str(tmp_path / "data")


@pytest.mark.parametrize(
    ("what", "written"),
    [([], ["p/r1", "p/r2", "q/r1"]), (["p"], ["p/r1", "p/r2"]), (["q/r1"], ["q/r1"]), (["local/p/r2"], ["p/r2"])],
)
def test_a_run_a_project_or_everything_is_exported(data, tmp_path, what, written):
    assert main(["export", *what, "--data", data, "--out", str(tmp_path / "out"), "--format", "csv"]) == 0

    files = (tmp_path / "out").glob("*/*/history.csv")
    assert sorted(str(path.parent.relative_to(tmp_path / "out")) for path in files) == written


def test_what_is_not_there_is_named(data, tmp_path, capsys):
    """The message names what was asked for, how to ask, and what there is."""
    assert main(["export", "nope", "--data", data]) == 2

    assert "'nope' is no project and no run. Write PROJECT or PROJECT/RUN; the projects are: p, q." in (
        capsys.readouterr().err
    )


def test_a_folder_is_imported(tmp_path, capsys):
    """The folder's name is the project, unless another one is named."""
    (tmp_path / "old" / "version_0").mkdir(parents=True)
    (tmp_path / "old" / "version_0" / "metrics.csv").write_text("step,loss\n0,1.5\n1,0.5\n")

    assert main(["import", str(tmp_path / "old"), "--data", str(tmp_path / "data")]) == 0

    store = Store(tmp_path / "data")
    (run,) = store.runs.all(store.runs.project("old"))
    assert store.history.read(run.id, "loss").values() == [1.5, 0.5]
    store.close()


def test_a_folder_without_runs_says_what_was_looked_for(tmp_path, capsys):
    assert main(["import", str(tmp_path), "--data", str(tmp_path / "data")]) == 2
    said = capsys.readouterr().err
    assert "Looked for metrics.csv (CSVLogger), event files (TensorBoard), offline runs (W&B)" in said


def test_a_path_that_is_not_there_is_named(tmp_path, capsys):
    """Others that are named with it are taken all the same."""
    (tmp_path / "metrics.csv").write_text("step,loss\n0,1.5\n")

    assert main(["import", str(tmp_path / "nope"), str(tmp_path), "--data", str(tmp_path / "data")]) == 2

    told = capsys.readouterr()
    assert told.err == f"fulgurite import: there is no {tmp_path / 'nope'}.\n"
    assert "is run" in told.out


def test_a_file_of_a_run_stands_for_its_folder(tmp_path, capsys):
    """One names what one sees."""
    (tmp_path / "v0").mkdir()
    (tmp_path / "v0" / "metrics.csv").write_text("step,loss\n0,1.5\n")

    assert main(["import", str(tmp_path / "v0" / "metrics.csv"), "--data", str(tmp_path / "data")]) == 0
    assert f"{tmp_path / 'v0'} is run v0/" in capsys.readouterr().out


def test_an_export_into_a_file_says_what_was_expected(data, tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")

    assert main(["export", "--data", data, "--out", str(tmp_path / "taken")]) == 2

    assert capsys.readouterr().err == f"fulgurite export: {tmp_path / 'taken'} is no folder. Name one with --out.\n"


PLAIN = """
import sys
for name in ("google", "google.protobuf", "pyarrow", "tensorboard", "wandb", "starlette", "graphql", "psutil", "PIL"):
    sys.modules[name] = None
from fulgurite.cli import main
sys.exit(main(sys.argv[1:]))
"""


def plainly(*words):
    """The command where nothing but the package itself is installed."""
    done = subprocess.run([sys.executable, "-c", PLAIN, *map(str, words)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def test_metrics_come_out_and_in_without_any_extra(data, tmp_path):
    """The default logger keeps them in the store: a plain install must be able to get at them."""
    out = tmp_path / "out"

    assert plainly("export", "--data", data, "--out", out, "--format", "csv") == (0, "")
    assert (out / "p" / "r1" / "history.csv").exists()

    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "metrics.csv").write_text("step,loss\n0,1.5\n")
    assert plainly("import", tmp_path / "old", "--data", data) == (0, "")

    (tmp_path / "old" / "run-x.wandb").write_text("")
    code, said = plainly("import", tmp_path / "old", "--data", data)
    assert code == 2 and 'pip install "fulgurite[track]"' in said and "Traceback" not in said
