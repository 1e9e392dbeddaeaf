"""Whole records out of files that grow, end in mid-record or are damaged."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fulgurite.base.errors import DataError
from fulgurite.track.wire.offline.recordlog import RecordLog
from support.record_log import BLOCK, CHUNK_HEADER, FIRST, HEADER, LAST, append, chunk, log_of, write

# Short ones, and such that reach over one or two borders of blocks or end a few bytes before one.
LENGTHS = st.one_of(
    st.integers(0, 60),
    st.integers(BLOCK - 60, BLOCK + 60),
    st.integers(2 * BLOCK, 2 * BLOCK + 20),
)
RECORDS = st.lists(st.builds(lambda length, byte: bytes([byte]) * length, LENGTHS, st.integers(0, 255)), max_size=8)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("log") / "run-x.wandb"


def read_all(path: Path) -> list[bytes]:
    log = RecordLog(path)
    found = list(log.read())
    assert log.damages == []
    return found


def test_a_file_without_records_is_empty(tmp_path):
    """The client creates the file before it writes."""
    assert read_all(write(tmp_path / "run-x.wandb")) == []
    (tmp_path / "empty.wandb").touch()
    assert read_all(tmp_path / "empty.wandb") == []


@given(records=RECORDS)
def test_records_come_back_as_they_were_written(path, records):
    """However they lie to the blocks, and even if they are empty."""
    assert read_all(write(path, *records)) == records


@given(records=RECORDS, data=st.data())
def test_any_beginning_of_a_file_gives_the_first_records(path, records, data):
    """A tail cut off at any byte is not yet there, and no damage."""
    whole = log_of(records)
    end = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:end])

    found = read_all(path)

    assert found == records[: len(found)]
    assert end < len(whole) or len(found) == len(records)
    assert len(log_of(records[: len(found) + 1])) > end or len(found) == len(records)


def test_a_beginning_of_any_length_gives_the_first_records(path):
    """Every single byte around the border of a block, with a record that spans it."""
    records = [b"a" * 40, b"b" * (BLOCK - 120), b"c" * 100, b"d" * 30]
    whole = log_of(records)

    for end in (*range(200), *range(BLOCK - 200, len(whole) + 1)):
        path.write_bytes(whole[:end])
        assert read_all(path) == records[: sum(len(log_of(records[: n + 1])) <= end for n in range(len(records)))]


@given(records=RECORDS, cuts=st.lists(st.floats(0, 1), max_size=6), anew=st.booleans())
def test_a_growing_file_gives_each_record_once(path, records, cuts, anew):
    """By one reader that stays, or by a new one each time, which is told the offset."""
    whole = log_of(records)
    path.write_bytes(b"")
    log = RecordLog(path)
    found = []
    for end in [*sorted(int(cut * len(whole)) for cut in cuts), len(whole)]:
        path.write_bytes(whole[:end])
        log = RecordLog(path, log.offset) if anew else log
        found += log.read()
        assert log.damages == []

    assert found == records
    assert log.unread() == 0


def test_a_reader_that_stops_in_between_goes_on_with_the_next_record(tmp_path):
    """What was not taken is not lost."""
    log = RecordLog(write(tmp_path / "run-x.wandb", b"one", b"two", b"three"))

    assert next(iter(log.read())) == b"one"
    assert list(log.read()) == [b"two", b"three"]


@given(records=RECORDS.filter(lambda records: len(records) > 1), data=st.data())
def test_one_broken_byte_costs_no_more_than_its_block(path, records, data):
    """All records that do not touch the broken chunk's block come back; and what is lost is reported once."""
    records = [record + bytes([index]) for index, record in enumerate(records)]
    whole = bytearray(log_of(records))
    at = data.draw(st.integers(len(HEADER), len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(whole)
    log = RecordLog(path)

    found = list(log.read())

    ends = [len(log_of(records[:n])) for n in range(len(records) + 1)]
    spans = list(pairwise(ends))
    block = at // BLOCK
    safe = [r for r, (begin, end) in zip(records, spans, strict=True) if end <= at or begin // BLOCK > block]
    assert found == [record for record in records if record in found]
    assert set(safe) <= set(found)
    assert len(log.damages) <= 1
    assert list(log.read()) == [] and len(log.damages) <= 1


def test_a_broken_record_is_reported_and_the_next_one_read(tmp_path):
    """If only its data is broken, even the neighbour in the same block is read."""
    whole = bytearray(log_of([b"one", b"two", b"three"]))
    begin = len(log_of([b"one"]))
    whole[begin + CHUNK_HEADER] ^= 1
    path = tmp_path / "run-x.wandb"
    path.write_bytes(whole)
    log = RecordLog(path)

    assert list(log.read()) == [b"one", b"three"]
    (damage,) = log.damages
    assert (damage.file, damage.offset, damage.end) == (path, begin, begin + CHUNK_HEADER + 3)
    assert str(path) in str(damage) and str(begin) in str(damage)


def test_a_broken_length_costs_the_rest_of_the_block(tmp_path):
    """Where the next record begins is not known then; the next block is."""
    records = [b"one", b"two", b"x" * (BLOCK - 100), b"y" * 200, b"last"]
    whole = bytearray(log_of(records))
    begin = len(log_of(records[:1]))
    whole[begin + 5] ^= 0xFF
    path = tmp_path / "run-x.wandb"
    path.write_bytes(whole)
    log = RecordLog(path)

    assert list(log.read()) == [b"one", b"last"]
    assert [(damage.offset, damage.end) for damage in log.damages] == [(begin, BLOCK)]


def test_a_reader_that_goes_on_behind_damage_reports_it_no_second_time(tmp_path):
    """The end of the record whose beginning was lost is no new damage for the next process."""
    whole = bytearray(log_of([b"one", b"x" * (2 * BLOCK), b"last"]))
    whole[100] ^= 1
    path = tmp_path / "run-x.wandb"
    path.write_bytes(whole[: BLOCK + 10])
    first = RecordLog(path)
    assert list(first.read()) == [b"one"]
    assert len(first.damages) == 1

    path.write_bytes(whole)
    second = RecordLog(path, first.offset)

    assert list(second.read()) == [b"last"]
    assert second.damages == []


def test_a_broken_end_is_waited_for(tmp_path):
    """While nothing follows, it may still be in writing; how much it is, is known."""
    whole = bytearray(log_of([b"one", b"two"]))
    whole[-1] ^= 1
    path = tmp_path / "run-x.wandb"
    path.write_bytes(whole)
    log = RecordLog(path)

    assert list(log.read()) == [b"one"]
    assert log.damages == [] and log.unread() == CHUNK_HEADER + 3

    path.write_bytes(log_of([b"one", b"two"]))
    assert list(log.read()) == [b"two"]


def test_a_record_without_end_and_one_without_beginning_are_reported(tmp_path):
    """Chunks that are sound, but not each other's."""
    data = bytearray(HEADER)
    data += chunk(b"begins", FIRST)
    append(data, b"whole")
    data += chunk(b"ends", LAST)
    append(data, b"last")
    path = tmp_path / "run-x.wandb"
    path.write_bytes(data)
    log = RecordLog(path)

    assert list(log.read()) == [b"whole", b"last"]
    assert [damage.reason for damage in log.damages] == ["a record has no end", "a record has no beginning"]


def test_another_file_is_refused(tmp_path):
    """The message says what a run's record begins with."""
    path = tmp_path / "run-x.wandb"
    path.write_bytes(b"SQLite format 3\0")

    with pytest.raises(DataError, match=r"begins with b'SQLite .*run-<id>\.wandb"):
        list(RecordLog(path).read())


def test_a_file_that_became_shorter_is_refused(tmp_path):
    """The offset belongs to another file; going on in silence would lose the new one's records."""
    path = write(tmp_path / "run-x.wandb", b"one", b"two")
    log = RecordLog(path)
    list(log.read())
    write(path, b"one")

    with pytest.raises(DataError, match="offset=0"):
        list(log.read())
