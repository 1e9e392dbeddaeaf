"""Tables, options and recorded runs that are none, are damaged, or were made to do harm."""

import csv
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fulgurite.anomaly.command import main as anomaly
from fulgurite.base.errors import CheckpointError
from fulgurite.cli import main as fulgurite
from fulgurite.core.loading import _read_hparams
from fulgurite.loggers import CSVLogger
from fulgurite.track.store.errors import StoreError
from fulgurite.track.store.store import Store
from fulgurite.track.transfer import command
from fuzz.targets import nothing_runs, records, rows
from support.depth import examples
from support.record_log import log_of

USAGE = 2
cells = st.sampled_from(
    ["1", "2.5", "-1e999", "nan", "", "x", '"', "2024-01-01", "2024-01-01T00:00", "1,5", "\0", "ü", "9" * 400]
)
tables = st.lists(st.lists(cells, max_size=4), max_size=6).map(
    lambda lines: "\n".join([*(["time,value"] * bool(lines)), *(",".join(line) for line in lines)]).encode()
)
contents = st.binary(max_size=80) | tables | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace"))
HOSTILE = [
    "!!python/object/apply:os.mkdir [ran]",
    "a: !!python/object/apply:os.system ['mkdir ran']",
    "a: !!python/object/new:os.mkdir [ran]",
    "!!python/module:os",
    "- !!python/name:os.mkdir",
    "a: !!python/object/apply:subprocess.Popen [[mkdir, ran]]",
]
BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
)
texts = st.sampled_from(
    [*HOSTILE, "", "a", "- 1", "a: [", "\t", "a: 1", "1: 2", "? [1]\n: 2", "epochs: x", "<<: 1"]
) | st.text(max_size=20)


@examples()
@given(data=contents)
def test_a_csv_is_read_or_refused(data):
    """By line and column, never with an error of Python's own."""
    rows(data)


@examples(4)
@given(data=contents)
def test_the_command_refuses_rows_in_one_sentence(data, tmp_path_factory, capsys):
    """Exit code 2 for what can't be used; nothing else."""
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_bytes(data)

    code = anomaly(["fit", str(path), "--out", str(path.parent / "out"), "--epochs", "1"])

    assert code in (0, USAGE)
    # Behind what was noted on the rows, as far as they were read.
    assert code == 0 or capsys.readouterr().err.splitlines()[-1].startswith("fulgurite anomaly: ")


@examples()
@given(text=texts)
@example(text=BOMB)
def test_options_in_a_file_run_nothing(text, tmp_path_factory, capsys):
    """YAML can name functions; here it can't."""
    folder = tmp_path_factory.mktemp("options")
    path = folder / "options.yaml"
    path.write_text(text, encoding="utf-8", errors="replace")

    with nothing_runs():
        try:
            code = anomaly(["fit", str(folder / "none.csv"), "--config", str(path)])
        except SystemExit as end:
            code = end.code

    assert code == USAGE
    assert capsys.readouterr().err


@examples()
@given(text=texts)
@pytest.mark.parametrize("ending", [".yaml", ".csv"])
def test_hyperparameters_in_a_file_run_nothing(ending, text, tmp_path_factory):
    """Read as plain data, or refused by the name of the file."""
    path = tmp_path_factory.mktemp("hparams") / f"hparams{ending}"
    path.write_text(text, encoding="utf-8", errors="replace")

    with nothing_runs():
        try:
            found = _read_hparams(path)
        except CheckpointError as error:
            assert str(path) in str(error)
            return

    assert isinstance(found, dict)


@examples()
@given(data=contents, rows=st.integers(0, 3))
def test_a_csv_logger_goes_on_with_any_file(data, rows, tmp_path_factory):
    """What is there is kept as far as it is a table; the new rows can be read."""
    folder = tmp_path_factory.mktemp("logs")
    (folder / "a" / "version_0").mkdir(parents=True)
    (folder / "a" / "version_0" / "metrics.csv").write_bytes(data)
    logger = CSVLogger(folder, "a", 0)
    file = folder / "a" / "version_0" / "metrics.csv"
    logger.load_state_dict({"file": str(file), "rows": rows})

    logger.log_metrics({"x": 1.0}, 0)
    logger.save()

    with open(file, newline="", encoding="utf-8") as table:
        assert list(csv.DictReader(table))[-1]["x"] == "1.0"


# -- imports --------------------------------------------------------------------------------------------------------

FILES = ["metrics.csv", "hparams.yaml", "events.out.tfevents.1.x", "fulgurite-rescue-1.jsonl"]


@examples(2)
@given(data=contents | texts.map(lambda text: text.encode("utf-8", "replace")), name=st.sampled_from(FILES))
def test_an_import_takes_or_refuses_any_file(data, name, tmp_path_factory, capsys):
    """Exit code 2 and the name of the file."""
    folder = tmp_path_factory.mktemp("import")
    (folder / name).write_bytes(data)
    if name == "hparams.yaml":
        (folder / "metrics.csv").write_text("step,a\n0,1\n")

    code = command.main(["import", str(folder), "--data", str(folder / "store")])

    assert code in (0, USAGE)
    assert code == 0 or capsys.readouterr().err.startswith("fulgurite import: ")
    assert not (folder / "ran").exists() and not Path("ran").exists()


@examples(2)
@given(parts=st.lists(st.binary(max_size=40), max_size=3), cut=st.integers(0, 60), sound=st.booleans())
def test_an_offline_run_is_taken_or_refused(parts, cut, sound, tmp_path_factory, capsys):
    """Sound frames around any records, files cut anywhere, and any bytes."""
    folder = tmp_path_factory.mktemp("offline") / "offline-run-20240101_000000-abc"
    folder.mkdir()
    data = log_of(parts) if sound else b"".join(parts)
    (folder / "run-abc.wandb").write_bytes(data[: len(data) - cut] if cut < len(data) else data)

    code = command.main(["import", str(folder.parent), "--data", str(folder.parent / "store")])

    assert code in (0, USAGE)
    assert code == 0 or capsys.readouterr().err.startswith("fulgurite import: ")


@examples()
@given(data=st.binary(max_size=60))
def test_any_record_is_decoded_or_counted_as_damage(data):
    """Of an offline run's file."""
    records(data)


@examples(2)
@given(data=st.data())
def test_a_damaged_store_is_told_of(data, tmp_path_factory):
    """Any bytes in the place of the database, and a database with any byte changed."""
    folder = tmp_path_factory.mktemp("store")
    if data.draw(st.booleans()):
        (folder / "fulgurite.db").write_bytes(data.draw(st.binary(min_size=1, max_size=2000)))
    else:
        store = Store(folder)
        store.runs.open(store.runs.project("p", create=True), "r")
        store.close()
        for rest in folder.glob("fulgurite.db-*"):
            rest.unlink()
        whole = bytearray((folder / "fulgurite.db").read_bytes())
        for _ in range(data.draw(st.integers(1, 20))):
            whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
        (folder / "fulgurite.db").write_bytes(whole)

    try:
        store = Store(folder)
        try:
            for project in store.runs.projects():
                store.runs.all(project)
        finally:
            store.close()
    except StoreError as error:
        assert str(folder) in str(error), str(error)


# -- command lines ----------------------------------------------------------------------------------------------------

WORDS = [
    *(
        "run",
        "anomaly",
        "export",
        "import",
        "fit",
        "score",
        "detect",
        "report",
        "evaluate",
        "--help",
        "--version",
        "-m",
    ),
    *("--out", "--config", "--epochs", "-1", "nan", "", "x", "none.csv", "--data", "--model", "--threshold", "ü", "--"),
    *("--split", "150%", "--project", "--format", "keys", "a\0b"),
]


@examples(2)
@given(words=st.lists(st.sampled_from(WORDS), max_size=5))
def test_a_command_line_is_done_or_refused(words, tmp_path_factory, monkeypatch):
    """With an exit code, and never with a traceback."""
    # `detect` without a file, or with --help, would do its work.
    if "detect" in words and not any(word in words for word in ("none.csv", "--help", "-m")):
        words = [*words, "none.csv"]
    folder = tmp_path_factory.mktemp("words")
    with monkeypatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("FULGURITE_DIR", str(folder / "store"))
        try:
            code = fulgurite(words)
        except SystemExit as end:
            code = end.code

    assert code in (0, None, USAGE)
