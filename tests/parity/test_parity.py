"""Fulgurite does what Lightning does: hooks, clocks, rows, metrics, files, weights and errors, scenario by scenario."""

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import fulgurite
from parity.compare import first_difference
from parity.deviations import DEVIATIONS, Deviation
from parity.scenarios import SCENARIOS

HERE = Path(__file__).parent

PACKAGES = {"loggers-tensorboard": "tensorboard", "loggers-mlflow": "mlflow"}
"""What scenarios whose names begin so need beside the two of them."""

ON_THE_CPU = {
    "monitors-device_stats": "Lightning's record has the load of the CPU",
    "summary-recurrent": "the stand-in for a GPU has no LSTM cell",
    "weights-pruning_random": "Lightning's record was drawn by the CPU",
}
"""What scenarios whose names begin so can only show there, and why."""

pytestmark = pytest.mark.filterwarnings("ignore")


def case(name: str) -> Any:
    return pytest.param(name, marks=[pytest.mark.cpu] if name.startswith(tuple(ON_THE_CPU)) else [])


def golden_of(name: str) -> dict[str, Any]:
    return json.loads((HERE / f"golden/{name}.json").read_text())["record"]


def deviations_of(name: str) -> list[Deviation]:
    return [deviation for deviation in DEVIATIONS if deviation.concerns(name)]


def record(scenario: Callable, folder: Path) -> dict[str, Any]:
    """Run the scenario with fulgurite and pass its record through JSON, as the golden was."""
    logging.disable(logging.INFO)
    return json.loads(json.dumps(scenario(fulgurite, folder)))


def parts(record: dict[str, Any]) -> dict[str, Any]:
    """Split hook lines into order and clock, so that a wrong order shows as one."""
    if "hooks" not in record:
        return record
    order = [line.partition(" @ ")[0] for line in record["hooks"]]
    return {"order of hooks": order, **record}


@pytest.mark.parametrize("name", map(case, SCENARIOS))
def test_parity(name: str, tmp_path: Path):
    """Every scenario leaves the record that Lightning left, but for the deviations that are listed with a reason."""
    for start, package in PACKAGES.items():
        if name.startswith(start):
            pytest.importorskip(package)
    ours, golden = parts(record(SCENARIOS[name], tmp_path)), parts(golden_of(name))

    for deviation in deviations_of(name):
        ours, golden = deviation.adjust(ours, golden)

    for part in golden:
        difference = first_difference(ours.get(part), golden[part], part)
        assert difference is None, f"{name}: {difference}"
    assert ours.keys() == golden.keys()


class LegacyAxis:
    """Fulgurite with the switch for Lightning's axis of evaluation rows."""

    Trainer = partial(fulgurite.Trainer, legacy_validation_axis=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(fulgurite, name)


AXIS = next(deviation for deviation in DEVIATIONS if "training step" in deviation.title)


@pytest.mark.parametrize("name", [name for name in SCENARIOS if AXIS.concerns(name)])
def test_legacy_axis(name: str, tmp_path: Path):
    """``legacy_validation_axis=True`` writes evaluation rows exactly where Lightning writes them."""
    rows = SCENARIOS[name](LegacyAxis(), tmp_path)["rows"]

    assert first_difference(rows, golden_of(name)["rows"], "rows") is None


def test_every_golden_has_its_scenario():
    """A golden whose scenario is gone would never be looked at again."""
    goldens = {path.stem for path in (HERE / "golden").glob("*.json")}

    assert goldens == set(SCENARIOS)


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.title)
def test_every_deviation_says_why_and_concerns_something(deviation: Deviation):
    """A deviation without a reason or without a scenario is a mistake."""
    assert len(deviation.reason) > 20
    assert any(deviation.concerns(name) for name in SCENARIOS)
