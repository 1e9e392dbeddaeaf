"""Rows as they arrive have the scores of all rows at once, over stops, restarts and files that are replaced."""

import csv
import io
import os
import shutil
import threading
import time
from contextlib import contextmanager

import numpy as np
import pandas
import pytest

from fulgurite.anomaly import AnomalyDetector, follow
from fulgurite.anomaly.follow import Follower, Printer
from fulgurite.anomaly.reading import read
from fulgurite.anomaly.saved import write_marked
from fulgurite.anomaly.tail import GrowingFile, Pipe
from fulgurite.anomaly.writing import write_scores
from fulgurite.base.errors import CheckpointError, DataError

TRAINING = 400


@pytest.fixture(scope="module")
def lines():
    """A header and 500 lines; the value jumps twice behind the training rows, and once there is none."""
    value = np.round(np.random.default_rng(0).normal(10, 1, 500), 3)
    value[[440, 441, 480]] += 60
    times = pandas.date_range("2024-01-01", periods=500, freq="5min")
    cells = ["" if i == 450 else str(number) for i, number in enumerate(value)]
    rows = zip(times, cells, strict=True)
    return ["when,value,note", *(f"{time:%Y-%m-%d %H:%M},{cell},n{i % 2}" for i, (time, cell) in enumerate(rows))]


@pytest.fixture(scope="module")
def trained(lines, tmp_path_factory):
    """A model of windows, hardly trained, that has learned from the first 400 rows."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.csv").write_text("\n".join(lines[: TRAINING + 1]) + "\n")
    found = AnomalyDetector(epochs=1, options={"window": 12})
    found.fit(read(folder / "train.csv", continuous=())).save(folder / "model.ckpt")
    return folder


@pytest.fixture(autouse=True)
def model(trained):
    for name in ("train.csv", "model.ckpt"):
        shutil.copy(trained / name, name)


class Enough(Exception):
    """As many rows as were wanted are there."""


class Following:
    """A follower with what it has printed and said; it ends when ``most`` rows are there."""

    def __init__(self, state="follow.state", most=None):
        self.out, self.said, self.most = io.StringIO(), [], most
        self.printer = Printer(self.out)
        self.follower = Follower("model.ckpt", state, self.write, self.said.append)

    def write(self, *piece):
        self.printer(*piece)
        if self.most is not None and len(self.rows) >= self.most:
            raise Enough

    def file(self, path="rows.csv", wait=False):
        self.follower.run(GrowingFile(path, wait, self.follower.place, self.follower.restarted))
        return self

    def watch(self):
        with pytest.raises(Enough):
            self.file(wait=True)

    @property
    def rows(self):
        return list(csv.DictReader(io.StringIO(self.out.getvalue())))


def batch(lines):
    """What scoring the file at once writes, the first of it right behind training."""
    write("batch.csv", lines)
    detector, series = AnomalyDetector.load("model.ckpt"), read("batch.csv", continuous=())
    write_scores("batch.csv", detector.judge(series).at_source(len(series)), "scored.csv")
    return list(csv.DictReader(open("scored.csv")))


def same(rows, others):
    """Whether the cells are the same: words to the letter, numbers to six digits, which batches of the network keep."""
    assert [list(row) for row in rows] == [list(row) for row in others]
    for row, other in zip(rows, others, strict=True):
        for name, cell in row.items():
            if cell != other[name]:
                assert float(cell) == pytest.approx(float(other[name]), rel=1e-4, abs=1e-6), (name, row, other)
    return True


def write(path, lines, mode="w", end="\n"):
    with open(path, mode) as file:
        file.write("\n".join(lines) + end)


def test_rows_that_arrive_are_scored_as_in_a_file(lines):
    """Line by line, every cell of the output is that of the whole file."""
    test = [lines[0], *lines[TRAINING + 1 :]]
    following = Following()
    for line in test:
        following.follower.take([line.encode()])

    assert same(following.rows, batch(test))
    assert {"1", "0"} == {row["is_anomaly"] for row in following.rows}
    assert following.rows[50]["score"] == ""


@pytest.mark.parametrize("stops", [(1,), (30, 31, 77), (0, 99)])
def test_a_stop_changes_nothing(lines, stops):
    """What is remembered in the file is enough to go on at any row as if there had been no stop."""
    test = lines[TRAINING + 1 :]
    rows = []
    for begin, end in zip((0, *stops), (*stops, len(test)), strict=True):
        write("rows.csv", ([lines[0]] if begin == 0 else []) + test[begin:end], "a")
        rows += Following().file().rows

    assert same(rows, batch([lines[0], *test]))


class Pieces:
    """Lines in pieces of one, and what comes behind the last of them."""

    place = None

    def __init__(self, lines, then=()):
        self.lines, self.then = lines, then

    def pieces(self):
        for line in self.lines:
            yield [line.encode()]
        for error in self.then:
            raise error


def test_the_state_is_saved_now_and_then_and_at_the_end(lines, monkeypatch):
    """Not for each piece, which would take longer than scoring it; Ctrl-C is an end as well, and loses no row."""
    saved = []
    monkeypatch.setattr(follow, "write_marked", lambda *a: (saved.append(1), write_marked(*a)))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Following().follower.run(Pieces([lines[0], *lines[401:451]], [KeyboardInterrupt]))

    assert len(saved) <= 2 + time.monotonic() - began
    assert Following().follower.rows == 50


def test_what_fails_in_the_midst_of_a_piece_comes_again(lines):
    """A state that has half of it is not kept."""
    first = Following(most=30)
    with pytest.raises(Enough):
        first.follower.run(Pieces([lines[0], *lines[401:451]]))
    again = Following()
    again.follower.run(Pieces([lines[0], *lines[401:451]]))

    assert again.follower.rows == 50
    assert again.rows[-1]["value"] == lines[450].split(",")[1]


def test_what_the_rows_have_shown_is_known_after_a_stop(lines):
    """How times are written, which the first rows after it would leave open."""
    for row in ("25/01/2024 00:00;10,5", "03/02/2024 00:00;1,254"):
        following = Following()
        following.follower.run(piped([line.encode() for line in ["when;value", row]]))
        last = str(following.follower._last)[:10]

    assert last == "2024-02-03"


def test_half_a_line_waits_for_its_other_half(lines):
    """A number that is being written is not taken for a smaller one."""
    write("rows.csv", [lines[0], lines[401], lines[402][:-9]], end="")
    following = Following().file()
    assert len(following.rows) == 1

    write("rows.csv", [lines[402][-9:]], "a")
    assert Following().file().rows[0]["value"] == lines[402].split(",")[1]


def test_a_file_is_watched_as_it_grows(lines):
    """Rows that another process appends are printed soon."""
    write("rows.csv", lines[:1] + lines[401:403])
    following = Following(most=5)
    with meanwhile(lambda: len(following.rows) == 2, lambda: write("rows.csv", lines[403:406], "a")):
        following.watch()

    assert [row["value"] for row in following.rows] == [line.split(",")[1] for line in lines[401:406]]


@pytest.mark.parametrize("how", ["replaced", "shortened"])
def test_a_file_that_begins_anew_is_noticed(lines, how):
    """Rotated or cut: it is read from its beginning, the header once more; scores go on from the rows before."""
    test = lines[TRAINING + 1 :]
    write("rows.csv", [lines[0], *test[:40]])
    following = Following(most=60)

    def begin_anew():
        write("new.csv" if how == "replaced" else "rows.csv", [lines[0], *test[40:60]])
        if how == "replaced":
            os.replace("new.csv", "rows.csv")

    with meanwhile(lambda: len(following.rows) == 40, begin_anew):
        following.watch()

    assert same(following.rows, batch([lines[0], *test[:60]]))
    assert any("read from its beginning" in told for told in following.said)


def test_rows_that_come_twice_are_scored_once(lines):
    """A pipe that is started anew brings the whole file again: what was scored before is left out, and that is said."""
    test = [line.encode() for line in [lines[0], *lines[TRAINING + 1 :]]]
    first = Following()
    first.follower.run(piped(test[:50]))
    again = Following()
    again.follower.run(piped(test))

    assert same(first.rows + again.rows, batch([line.decode() for line in test]))
    assert any("49 rows up to" in told and "left out" in told for told in again.said)


def test_a_pipe_may_end_without_a_newline(lines):
    """Its last line is whole when it is closed."""
    following = Following()
    following.follower.run(piped([line.encode() for line in [lines[0], *lines[401:404]]], end=b""))

    assert len(following.rows) == 3


def test_a_line_that_cannot_be_read_is_left_out_and_told(lines):
    """The lines around it are scored."""
    following = Following()
    following.follower.take([line.encode() for line in [lines[0], lines[401], "2024-01-02 09:25,oops,n", lines[403]]])

    assert [row["value"] for row in following.rows] == [lines[401].split(",")[1], lines[403].split(",")[1]]
    assert any("'oops'" in told and "left out" in told for told in following.said)


def test_a_header_without_the_models_columns_ends_it():
    """Nothing can be scored then."""
    with pytest.raises(DataError, match="'value'"):
        Following().follower.take([b"when,level", b"2024-01-02 09:25,3"])


def test_an_event_is_told_when_it_begins_and_when_it_ends(lines):
    """The beginning at once, the end when enough quiet rows have passed."""
    following = Following()
    test = lines[TRAINING + 1 :]
    following.follower.take([line.encode() for line in [lines[0], *test[:41]]])
    assert any("begins at 2024-01-02 12:40" in told for told in following.said)
    assert not any("Event from" in told for told in following.said)

    later = pandas.date_range("2024-01-02 12:45", periods=90, freq="5min")
    following.follower.take([f"{time:%Y-%m-%d %H:%M},10.{i % 7},n0".encode() for i, time in enumerate(later)])
    assert any("Event from 2024-01-02 12:40" in told for told in following.said)


def test_the_state_of_another_model_is_not_used(lines):
    """It begins anew, and says so."""
    write("rows.csv", [lines[0], *lines[401:410]])
    Following().file()
    AnomalyDetector.load("model.ckpt").set_params(seed=1).save("model.ckpt")

    following = Following()
    assert any("another model" in told for told in following.said)
    assert len(following.file().rows) == 9


def test_a_file_that_is_no_state_is_refused():
    """It is not overwritten either."""
    AnomalyDetector.load("model.ckpt").save("other")

    with pytest.raises(CheckpointError, match="no anomaly state, but an anomaly model"):
        Following(state="other")


@pytest.mark.parametrize(
    ("settings", "told"), [({"threshold": "scored:0.99"}, "all of them at once"), ({"offline": True}, "--offline")]
)
def test_what_needs_later_rows_cannot_follow(settings, told):
    """It is said what to fit instead."""
    found = AnomalyDetector(epochs=1, options={"window": 12}, **settings)
    found.fit(read("train.csv", continuous=())).save("model.ckpt")

    with pytest.raises(DataError, match=told):
        Following()


def piped(lines, end=b"\n"):
    """The lines in a pipe, closed at its end."""
    reader, writer = os.pipe()
    os.write(writer, b"\n".join(lines) + end)
    os.close(writer)
    return Pipe(os.fdopen(reader, "rb"))


@contextmanager
def meanwhile(condition, act):
    """Do something as soon as a condition holds, from another thread."""

    def wait_and_act():
        deadline = time.monotonic() + 20
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    yield
    thread.join()
