"""The protocol: ours beside baselines, none of them taught by labels or by rows to come."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from fulgurite.anomaly.generator import generate
from fulgurite.anomaly.judge.baselines import ALL, Baseline, baselines
from fulgurite.anomaly.judge.chart import draw
from fulgurite.anomaly.judge.evaluate import Entry, evaluate, measure
from fulgurite.anomaly.judge.evaluation import Evaluation, Result, interval
from fulgurite.anomaly.series import Series
from fulgurite.base.errors import DataError

NAB = Path(__file__).resolve().parents[3] / "shared" / "data" / "nab"
MATRIX = {"matrix profile", "matrix profile centred"}  # compiled at first use, which takes half a minute
QUICK = tuple(baseline for baseline in ALL if baseline.name not in MATRIX)
SIMPLE = tuple(baseline for baseline in ALL if baseline.name in ("random", "|z|"))


@dataclass
class Oracle:
    """A detector that knows the labels, scaled by ``worth``: 1 is perfect, -1 always wrong."""

    worth: float = 1.0
    seen: int = 0

    def fit(self, series: Series) -> "Oracle":
        self.seen = len(series)
        return self

    def judge(self, series: Series, follows: bool | None = None) -> "Oracle":
        self.score, self.flags = self.worth * series.label.astype(float), series.label
        assert follows
        return self


def oracle(seed: int) -> Oracle:
    return Oracle()


def made_up(rows: int = 1_200, seed: int = 0) -> Series:
    return generate(rows=rows, kinds=("shift", "flat"), each=1, seed=seed).rows()


def test_a_perfect_detector_is_first_and_perfect():
    """Scores that are the labels beat every baseline, with all measures at their best."""
    pytest.importorskip("sklearn")
    result = evaluate({"one": made_up()}, [Entry("oracle", oracle)], others=QUICK, progress=False)

    best = result.lines()[0]

    assert (best.detector, best.kind) == ("oracle", "ours")
    assert best.means["vus_pr"] > 0.95
    found = {name: best.means[name] for name in ("ap", "event_recall", "event_precision", "delay_rows", "nab")}
    assert found == {"ap": 1, "event_recall": 1, "event_precision": 1, "delay_rows": 0, "nab": 100}
    assert best.means["false_alarms_a_day"] == 0
    assert len(result.lines()) == 1 + 2 * len(QUICK)


@pytest.mark.parametrize("baseline", QUICK, ids=lambda baseline: baseline.name)
def test_a_baseline_learns_from_the_first_rows_only(baseline: Baseline):
    """Rows that change behind the learned ones change no score before them, but for what says that it looks ahead."""
    pytest.importorskip("sklearn")
    series = made_up()
    values = series.values.copy()
    values[900:] += 500 * np.random.default_rng(0).random((300, 1))

    scores, others = (baseline.score(rows, 600, 0) for rows in (series, replace(series, values=values)))

    assert np.isfinite(scores).all() and len(scores) == len(series)
    until = 900 if baseline.causal else 900 - 64
    assert scores[:until] == pytest.approx(others[:until], rel=1e-6)
    assert baseline.name in ("random", "row number") or not np.allclose(scores[900:], others[900:])


@pytest.mark.parametrize("baseline", QUICK, ids=lambda baseline: baseline.name)
def test_baselines_take_rows_as_they_are(baseline: Baseline):
    """Gaps, a constant column and rows without times still get finite scores."""
    pytest.importorskip("sklearn")
    series = made_up(600)
    gaps = replace(series, values=np.where(np.arange(600)[:, None] % 7 == 0, np.nan, series.values))
    constant = replace(series, values=np.ones((600, 1)))
    timeless = replace(series, clock=None)

    for rows in (gaps, constant, timeless):
        assert np.isfinite(baseline.score(rows, 300, 0)).all()


@pytest.mark.slow
def test_the_matrix_profile_is_shown_where_stumpy_is_installed():
    """It takes part, finds a shape it has not seen, and is causal as it says."""
    pytest.importorskip("stumpy")
    series = made_up()
    profile = next(baseline for baseline in baselines() if baseline.name == "matrix profile")

    scores, cut = profile.score(series, 600, 0), profile.score(series.rows(0, 900), 600, 0)

    assert scores[:900] == pytest.approx(cut, abs=1e-6)
    assert measure(series.rows(600), scores[600:], np.zeros(600, bool), 24, 48)["roc_auc"] > 0.6


def test_no_anomaly_to_judge_by_is_said():
    """A clean part leaves rankings and recall out, says so, and still counts flags and false alarms."""
    series = replace(made_up(), label=np.zeros(1_200, bool))

    result = evaluate({"clean": series}, [Entry("oracle", oracle)], others=SIMPLE, progress=False)

    line = result.lines()[0]
    assert [line.means[name] for name in ("vus_pr", "ap", "event_recall", "nab")] == [None] * 4
    assert line.means["flagged_share"] == 0
    assert "no anomaly" in result.notes[0] and result.notes[0] in result.table()


def test_seeds_are_averaged_before_files():
    """Each seed is a result of its own; a baseline without chance runs once; files weigh equally."""
    files = {"a": made_up(seed=0), "b": made_up(seed=1)}

    result = evaluate(files, [Entry("oracle", oracle)], seeds=(0, 1, 2), others=SIMPLE, progress=False)

    counts = {line.title: sum(one.detector == line.detector and one.kind == line.kind for one in result.results)
              for line in result.lines()}  # fmt: skip
    assert counts == {"oracle": 6, "random": 6, "random, normalised": 6, "|z|": 2, "|z|, normalised": 2}
    volumes = [one.measures["vus_pr"] for one in result.results if (one.detector, one.kind) == ("random", "raw")]
    line = next(line for line in result.lines() if line.title == "random")
    assert line.means["vus_pr"] == pytest.approx(np.mean(volumes))


def test_a_baseline_that_looks_ahead_is_measured_as_ours_offline():
    """Normalised, its peaks fade to both sides; those of a causal one only behind."""
    series = replace(made_up(), label=np.arange(1_200) // 40 == 22)

    def pulse(series: Series, learned: int, seed: int) -> np.ndarray:
        noise = np.random.default_rng(0).random(len(series))
        return np.where(np.arange(len(series)) // 10 == 90, 50.0, noise)

    others = (Baseline("live", pulse), Baseline("ahead", pulse, causal=False))
    lines = {line.title: line.means for line in evaluate({"one": series}, [], others=others, progress=False).lines()}

    assert lines["ahead *"] == lines["live"]
    assert lines["ahead, normalised *"]["vus_pr"] > lines["live, normalised"]["vus_pr"] + 0.1
    assert lines["ahead, normalised *"]["flagged_share"] == lines["live, normalised"]["flagged_share"]


def test_an_alarm_that_begins_before_its_window_finds_it():
    """The benchmark's score by hand: one flag too early costs 0.11, the window's first row earns 1."""
    series = replace(made_up().rows(0, 200), label=np.arange(200) // 20 == 5)
    flags = (np.arange(200) >= 95) & (np.arange(200) < 125)

    found = measure(series, flags.astype(float), flags, 24, 48)

    assert found["nab_raw"] == pytest.approx(1 - 0.11)
    assert found["nab"] == pytest.approx(100 * (1 - 0.11 + 1) / 2)


def test_what_comes_judged_tells_how_long_it_took():
    """Seconds that were spent before are added."""
    entries = [Entry("oracle", oracle, spent=100.0)]

    line = evaluate({"one": made_up()}, entries, others=(), progress=False).lines()[0]

    assert 100 <= line.seconds < 110


def test_silence_gains_nothing():
    """Rows to which a detector gives no score rank lowest, and rows without a number aren't judged at all."""
    series = made_up().rows(600)
    label = series.label
    scores = label.astype(float)
    hidden = np.where(label, np.nan, scores)
    absent = replace(series, values=np.where(label[:, None], np.nan, series.values))

    assert measure(series, np.where(label, np.nan, 1.0), label, 24, 48)["ap"] == pytest.approx(label.mean())
    assert measure(series, hidden, label, 24, 48)["ap"] < 1
    assert measure(absent, scores, label, 24, 48)["ap"] is None


def test_results_survive_a_file(tmp_path):
    """What is saved is read again, and is plain JSON; another file is refused."""
    result = evaluate({"one": made_up()}, [Entry("oracle", oracle)], others=SIMPLE, progress=False)
    result.save(tmp_path / "evaluation.json")
    (tmp_path / "other.json").write_text('{"lines": []}')

    assert Evaluation.load(tmp_path / "evaluation.json").to_dict() == result.to_dict()
    assert json.loads((tmp_path / "evaluation.json").read_text())["settings"]["split"] == "50%"
    with pytest.raises(DataError, match="no saved evaluation"):
        Evaluation.load(tmp_path / "other.json")


def test_the_table_names_all_that_matters():
    """Ours is marked, what looks ahead is starred, and the flagged share stands beside recall."""
    result = evaluate({"one": made_up()}, [Entry("ours, offline", oracle, causal=False)], others=SIMPLE, progress=False)

    lines = result.table().splitlines()

    assert "VUS-PR" in lines[0] and "flagged" in lines[0]
    assert lines[1].startswith("> ours, offline *")
    assert len({len(line) for line in lines[: lines.index("")]}) == 1, "all columns end where their heads do"
    assert "1 file, 1 of them with anomalies to rank" in result.table()


def judged(file: str, **measures: float | None) -> Result:
    names = ("vus_pr", "vus_roc", "ap", "flagged_share", "event_recall", "false_alarms_a_day", "nab", "nab_raw",
             "nab_windows")  # fmt: skip
    usual = {**dict.fromkeys(names, 0.5), "event_precision": 0.25, "delay_rows": 4.0}
    return Result(file, "mine", "ours", True, 0, 1.0, {**usual, **measures})


def test_a_mean_over_fewer_files_says_so():
    """Files without alarms have no precision and no delay: how many have stands beside the mean, in JSON too."""
    silent = {"event_precision": None, "delay_rows": None}
    result = Evaluation((judged("a"), judged("b"), judged("c", **silent)))
    silenced = Evaluation((judged("a", **silent), judged("b", **silent)))

    line = result.to_dict()["lines"][0]
    assert (line["covered"]["event_precision"], line["covered"]["vus_pr"], line["covered"]["nab"]) == (2, 3, 3)
    assert "0.250 (2)" in result.table() and "4 (2)" in result.table()
    assert "0.500 (" not in result.table()
    assert "(0)" not in silenced.table()


def test_it_is_drawn(tmp_path):
    """A picture of all lines comes out."""
    pytest.importorskip("matplotlib")
    result = evaluate({"one": made_up()}, [Entry("oracle", oracle)], others=SIMPLE, progress=False)

    draw(result, tmp_path / "quality.png")
    draw(result, tmp_path / "titled.png", title="Development series")

    plain, titled = ((tmp_path / name).read_bytes() for name in ("quality.png", "titled.png"))
    assert plain.startswith(b"\x89PNG") and titled.startswith(b"\x89PNG")
    assert plain != titled


def test_the_interval_is_of_files():
    """Equal files leave no doubt, different ones do, and two are too few to tell."""
    assert interval([0.5, 0.5, 0.5]) == (0.5, 0.5)
    low, high = interval([0.1, 0.5, 0.9])
    assert low < 0.5 < high
    assert interval([0.1, 0.9]) is None


def test_what_cannot_be_judged_is_refused():
    """No labels, or too few rows on one side, are errors that name the file."""
    with pytest.raises(DataError, match="one: there are no labels"):
        evaluate({"one": replace(made_up(), label=None)}, [], others=SIMPLE, progress=False)
    with pytest.raises(DataError, match="one: split='99%' leaves"):
        evaluate({"one": made_up()}, [], split="99%", others=SIMPLE, progress=False)


@pytest.mark.nab
@pytest.mark.skipif(not NAB.is_dir(), reason="the benchmark's series do not lie beside the checkout")
def test_baselines_stand_as_known_on_the_benchmark():
    """On three of its series windows beat single rows, and chance is at the share of anomalies."""
    pytest.importorskip("sklearn")
    from fulgurite.anomaly.labels import labels_of, read_windows
    from fulgurite.anomaly.reading import read

    files = {}
    for name in ("ambient_temperature_system_failure", "machine_temperature_system_failure", "nyc_taxi"):
        series = read(NAB / f"{name}.csv")
        files[name] = replace(series, label=labels_of(series, read_windows(NAB / "windows.json", f"{name}.csv")))

    lines = {line.title: line.means for line in evaluate(files, [], others=QUICK, progress=False).lines()}

    prevalence = np.mean([one.rows(len(one) // 2).label.mean() for one in files.values()])
    assert lines["random"]["vus_pr"] == pytest.approx(prevalence, abs=0.06)
    assert lines["sub-kNN, normalised"]["vus_pr"] > lines["|z|"]["vus_pr"] > lines["random"]["vus_pr"]
    assert lines["row number"]["flagged_share"] == 1
