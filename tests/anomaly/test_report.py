"""What came out of scoring: its files, the page that tells of it, and the words for a terminal."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from fulgurite.anomaly.events import Event, events
from fulgurite.anomaly.judge.evaluation import Evaluation
from fulgurite.anomaly.judge.evaluation import Result as Judged
from fulgurite.anomaly.model import Scored
from fulgurite.anomaly.report import page_of, summary_text, write_report
from fulgurite.anomaly.result import Result, read_events, read_summary, summarise, write_events, write_summary
from fulgurite.anomaly.series import Series
from fulgurite.anomaly.threshold import Threshold
from fulgurite.anomaly.verdict import Verdict
from fulgurite.anomaly.writing import write_scores
from fulgurite.base.errors import DataError

EVIL = "<script>alert('x')</script>&\"<b>"
HOUR = np.timedelta64(1, "h")
PNG = b"\x89PNG"
MEASURES = {"vus_pr": 0.61, "vus_roc": 0.9, "ap": 0.6, "event_recall": 1.0, "event_precision": 0.66, "alarms": 3.0,
            "flagged_share": 0.017, "false_alarms_a_day": None, "delay_rows": 2.0, "delay_seconds": 7200.0,
            "nab": 61.0, "nab_raw": 1.2, "nab_windows": 2.0, "roc_auc": 0.9}  # fmt: skip


def judged(n=300, clocked=True, offset=0, name="value", parts=("level", "shift"), value=None) -> Verdict:
    """Waves with two spikes, a hole, and a label around the first spike."""
    random = np.random.default_rng(0)
    time = np.datetime64("2024-01-01", "us") + np.arange(n) * HOUR
    wave = np.sin(np.arange(n) / 4)
    value = wave + random.normal(size=n) / 20
    value[[100, 102, 250]] += 6
    value[30:33] = np.nan
    share = random.uniform(0.6, 0.9, size=n)
    score = np.abs(value - wave)
    scored = Scored(np.column_stack([score * share, score * (1 - share)]), wave, wave - 0.2, wave + 0.2)
    label = np.zeros(n, dtype=bool)
    label[98:105] = True
    if not clocked:
        time, label = np.datetime64(0, "us") + np.arange(n) * np.timedelta64(1, "s"), None
    clock = time + offset * HOUR if clocked else None
    series = Series(time, clock, value[:, None], (name,), label=label, notes=("A hole of 3 rows.",))
    threshold = Threshold.parse("fixed:3")
    flags = threshold.flags(score)
    found = tuple(events(series, scored, parts, score, flags, 12))
    return Verdict(series, score, scored, flags, tuple(parts), threshold, found)


def summary_of(verdict, **options) -> dict:
    usual = {
        "file": "data/sensor.csv",
        "command": "fulgurite anomaly score model.ckpt data/sensor.csv",
        "refractory": 12,
        "model": {"kind": "window", "told": "Looks at 48 rows."},
    }
    time = "time" if verdict.series.clock is not None else None
    return summarise(verdict, **{**usual, "time": time, **options})


def write(verdict, folder, **options) -> None:
    names = write_scores(verdict.series, verdict.columns(), folder / "scores.csv")
    write_events(verdict.events, folder / "events.csv", verdict.series)
    write_summary(summary_of(verdict, columns=names, **options), folder / "summary.json")


@pytest.mark.parametrize("verdict", [
    judged(), judged(clocked=False), judged(offset=2), judged(name="score"), judged(parts=("a b", "c,d")),
], ids=["plain", "numbered", "zoned", "taken name", "odd parts"])  # fmt: skip
def test_a_folder_gives_back_what_was_written(verdict, tmp_path):
    """Rows, parts, events and known anomalies come back, whatever the columns are called and however time is told."""
    write(verdict, tmp_path)
    result, before = Result.read(tmp_path), Result.of(verdict, {})

    assert (result.rows.time == before.rows.time).all()
    for name in ("value", "expected", "low", "high", "score"):
        np.testing.assert_allclose(getattr(result.rows, name), getattr(before.rows, name), rtol=1e-8)
    assert (result.rows.flags == before.rows.flags).all()
    assert list(result.rows.parts) == list(verdict.part_names)
    np.testing.assert_allclose(sum(result.rows.parts.values()), result.rows.score, rtol=1e-7)
    assert result.events == tuple(
        replace(event, share=pytest.approx(event.share, abs=1e-4)) for event in verdict.events
    )
    label = verdict.series.label
    assert result.known == ([(verdict.series.time[98], verdict.series.time[104])] if label is not None else [])
    assert result.evaluation is None


def test_rows_out_of_order_are_read_in_order(tmp_path):
    """scores.csv keeps the order of the source; the result is in order of time."""
    verdict = judged()
    order = np.random.default_rng(1).permutation(len(verdict.series))
    shuffled = replace(verdict, series=replace(verdict.series, order=order))
    write_scores(shuffled.series, shuffled.at_source(len(order)), tmp_path / "scores.csv")
    write_events(shuffled.events, tmp_path / "events.csv", shuffled.series)
    write_summary(summary_of(shuffled), tmp_path / "summary.json")

    np.testing.assert_allclose(Result.read(tmp_path).rows.score, verdict.score, rtol=1e-8)


def test_events_are_a_plain_table(tmp_path):
    """One line each, with the columns that the documents name; times are marked as UTC where the source has a zone."""
    write_events(judged().events, tmp_path / "events.csv", judged().series)
    write_events(judged(offset=2).events, tmp_path / "zoned.csv", judged(offset=2).series)
    first, second = csv.DictReader((tmp_path / "events.csv").open())

    assert list(first) == ["start", "end", "peak", "rows", "score", "share", "part", "reason"]
    assert (first["start"], first["end"], first["rows"]) == ("2024-01-05 04:00:00", "2024-01-05 06:00:00", "2")
    assert second["reason"].startswith("value ")
    assert next(csv.DictReader((tmp_path / "zoned.csv").open()))["start"] == "2024-01-05 04:00:00Z"


def test_no_event_is_an_empty_table(tmp_path):
    """It still has its columns, and reads back."""
    write_events([], tmp_path / "events.csv", judged().series)

    assert (tmp_path / "events.csv").read_text().startswith("start,end,peak")
    assert read_events(tmp_path / "events.csv") == []


def test_the_summary_counts(tmp_path):
    """Events, flagged rows and their share, rows without a score; it is plain JSON."""
    write_summary(summary_of(judged()), tmp_path / "summary.json")
    summary = json.loads((tmp_path / "summary.json").read_text())

    assert summary["found"] == {"events": 2, "flagged": 3, "share": 0.01, "unscored": 3}
    assert summary["source"]["start"] == "2024-01-01 00:00:00"
    assert summary["threshold"] == {"rule": "fixed:3", "level": 3.0, "told": judged().threshold.explain()}
    assert summary["notes"] == ["A hole of 3 rows."]


@pytest.mark.parametrize("name", ["summary.json", "events.csv", "scores.csv"])
def test_a_missing_file_is_named(name, tmp_path):
    """The error says where it was looked for and what writes it."""
    write(judged(), tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(DataError, match=rf"There is no {name} in .*fulgurite anomaly score"):
        Result.read(tmp_path)


@pytest.mark.parametrize("text, fault", [
    ("{", "no JSON"),
    ("[1]", "source.file"),
    ('{"source": 3}', "source.file"),
    ('{"source": {"file": "a", "time": null}}', "source.value, model.kind"),
])  # fmt: skip
def test_another_file_is_no_summary(text, fault, tmp_path):
    """The error says what is missing."""
    (tmp_path / "summary.json").write_text(text)

    with pytest.raises(DataError, match=fault):
        read_summary(tmp_path / "summary.json")


def test_another_table_is_no_table_of_events(tmp_path):
    """Its columns and the expected ones are named."""
    (tmp_path / "events.csv").write_text("when,what\n")

    with pytest.raises(DataError, match="when.*start"):
        read_events(tmp_path / "events.csv")


class Tags(HTMLParser):
    """All tags and all text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_tells_all_and_stands_alone():
    """Numbers, sentences, events, notes, the evaluation, the training and the command are on it; nothing is fetched."""
    lines = (Judged("sensor.csv", "window", "ours", True, 0, 1.0, MEASURES),
             Judged("sensor.csv", "sub-kNN", "raw", False, 0, 1.0, MEASURES))  # fmt: skip
    training = {"rows": 1200, "epochs": 3, "seconds": 4.0, "losses": {"train_loss": [0.5, 0.25, 0.125]}}
    summary = summary_of(judged(), training=training, split="Learned from the first half.")
    page = page_of(Result.of(judged(), summary, Evaluation(lines)), PNG, "picture.html")
    text = " ".join(Tags(page).texts)

    for told in ["Anomalies in sensor.csv", "300 rows, 2024-01-01 00:00 to 2024-01-13 11:00, one every 1 h", "3 (1 %)",
                 "Looks at 48 rows.", "Learned from the first half.", judged().threshold.explain(), "A hole of 3 rows.",
                 judged().events[0].reason, "sub-kNN *", "0.610", "1,200 rows, 3 epochs, 4.0 s", "0.125",
                 "fulgurite anomaly score model.ckpt data/sensor.csv", "3 rows could not be scored",
                 f"Fulgurite {summary['fulgurite']}"]:  # fmt: skip
        assert told in text
    assert set(re.findall(r'(?:src|href)="([^"]{1,20})', page)) == {"data:image/png;base6", "picture.html"}


def test_names_from_the_data_are_only_text():
    """Columns, parts, files, notes and reasons that look like tags make no tags."""
    plain, evil = judged(), judged(name=EVIL, parts=(EVIL, "b"))
    options = {"file": EVIL, "command": EVIL, "notes": [EVIL], "model": {"kind": EVIL, "told": EVIL}, "split": EVIL,
               "training": {"rows": 1, "epochs": 2, "losses": {EVIL: [1.0, 0.5]}}}  # fmt: skip
    training = {"rows": 1, "epochs": 2, "losses": {"loss": [1.0, 0.5]}}
    lines = (Judged("f", EVIL, "ours", True, 0, 1.0, MEASURES),)
    harmless = (replace(lines[0], detector="window"),)
    page = page_of(Result.of(evil, summary_of(evil, **options), Evaluation(lines, (EVIL,))), PNG)
    other = page_of(Result.of(plain, summary_of(plain, training=training, split="s", notes=["n"]),
                              Evaluation(harmless, ("n",))), PNG)  # fmt: skip

    assert Tags(page).tags == Tags(other).tags
    assert EVIL in "".join(Tags(page).texts)


def test_only_the_highest_events_are_listed():
    """Hundreds of events make no endless page; the rest is in the table, which is said."""
    verdict = judged()
    time = verdict.series.time
    many = tuple(Event(time[i], time[i], time[i], 1, float(i), 0.9, "level", f"reason {i}.") for i in range(260))
    result = Result.of(replace(verdict, events=many), summary_of(replace(verdict, events=many)))
    page, text = page_of(result, PNG), summary_text(result)

    assert "60 lower ones are in events.csv" in page
    assert "reason 259." in page and "reason 59." not in page
    assert "... and 250 lower ones in events.csv" in text
    assert text.count("reason ") == 10


def test_the_terminal_is_told_what_was_found():
    """Rows, flags, the rule, and the events in order of time."""
    text = summary_text(Result.of(judged(), summary_of(judged())))

    assert text.splitlines()[:2] == [
        "data/sensor.csv: 300 rows, 2024-01-01 00:00 to 2024-01-13 11:00, one every 1 h.",
        "2 events, 3 rows flagged (1 %); 3 rows could not be scored.",
    ]
    assert text.splitlines()[-1].strip().startswith("2024-01-11 10:00  2024-01-11 10:00")


def test_rows_learned_from_are_told_apart(tmp_path):
    """Where the file of scores holds the training rows too, numbers are those of the rows that were scored."""
    whole, scored = judged(), judged()
    part = replace(scored, series=scored.series.rows(90), score=scored.score[90:], flags=scored.flags[90:])
    part = replace(part, scored=Scored(*(column[90:] for column in vars(scored.scored).values())))
    write_scores(whole.series, whole.columns(), tmp_path / "scores.csv")
    write_events(part.events, tmp_path / "events.csv", part.series)
    write_summary(summary_of(part), tmp_path / "summary.json")
    result = Result.read(tmp_path)

    assert result.begin == whole.series.time[90]
    assert (
        "210 rows, 2024-01-04 18:00 to 2024-01-13 11:00, one every 1 h; learned from the 90 rows before"
        in summary_text(result)
    )
    assert Result.of(judged(), summary_of(judged())).begin is None


def test_quiet_rows_make_a_report_too():
    """Nothing flagged, nothing known, no training: the page says so and leaves the rest out."""
    quiet = replace(judged(), flags=np.zeros(300, dtype=bool), events=())
    result = Result.of(quiet, summary_of(quiet))

    assert "Nothing was flagged." in page_of(result, PNG)
    assert "Training" not in page_of(result, PNG)
    assert summary_text(result).splitlines()[1].startswith("0 events, 0 rows flagged (0 %)")


@pytest.mark.parametrize(
    "verdict", [judged(), judged(clocked=False), judged(offset=-5)], ids=["plain", "numbered", "zoned"]
)
def test_a_folder_becomes_a_report(verdict, tmp_path):
    """From the three files come the picture, the page to look around in, and the report."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("plotly")
    write(verdict, tmp_path)
    written = write_report(Result.read(tmp_path), tmp_path)

    assert [path.name for path in written] == ["picture.png", "picture.html", "report.html"]
    assert all(path.stat().st_size > 1_000 for path in written)
    zoned = verdict.series.clock is not None and (verdict.series.clock != verdict.series.time).any()
    assert ("Times are UTC." in written[2].read_text()) == zoned


def test_rows_without_any_score_have_no_level(tmp_path):
    """A rule that looks at the scored rows found nothing to look at; the report is written all the same."""
    pytest.importorskip("plotly")
    verdict = judged()
    empty = np.full(300, np.nan)
    verdict = replace(
        verdict, score=empty, flags=np.zeros(300, dtype=bool), events=(), threshold=Threshold.parse("scored")
    )
    write(verdict, tmp_path)

    assert "none" in write_report(Result.read(tmp_path), tmp_path)[2].read_text()


def test_a_folder_without_a_result_is_one_sentence(tmp_path):
    """And not also called a broken file."""
    with pytest.raises(DataError, match="^There is no summary.json in ") as told:
        Result.read(tmp_path)

    assert "JSON" not in str(told.value)
