"""Record what the published VUS says of our cases, in golden/vus.json.

The packages are called, never installed beside ours. They import plenty that this needs none of, so what is missing is
replaced by a stand-in. Once:

    pip install --no-deps --target FOLDER vus==0.0.6 TSB_AD==1.5 statsmodels patsy
    PYTHONPATH=FOLDER:tests python tests/anomaly/record_vus.py
"""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

from support.vus_cases import RANKINGS, WAVES, ranking, wave

GOLDEN = Path(__file__).parent / "golden" / "vus.json"


class StandIn(ModuleType):
    """A module that has every name, each of them again such a module."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)

    def __call__(self, *args, **kwargs):
        return self


def load(name):
    """Import a module of the two packages, with stand-ins for what they import and we haven't got."""
    while True:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            stand_in = StandIn(error.name)
            stand_in.__path__ = []
            sys.modules[error.name] = stand_in
            for half_imported in [key for key in sys.modules if key.split(".")[0] == name.split(".")[0]]:
                del sys.modules[half_imported]


def recorded():
    """Both packages' volumes and period for every case."""
    first, second = load("TSB_AD.evaluation.metrics"), load("vus.metrics")
    find_length = load("TSB_AD.utils.slidingWindows").find_length
    volumes = []
    for case in RANKINGS:
        labels, scores = ranking(*case)
        *_, roc, precision_recall = first.generate_curve(labels, scores, case[2])
        *_, second_roc, second_precision_recall = second.generate_curve(labels, scores, case[2])
        assert (roc, precision_recall) == (second_roc, second_precision_recall), case
        volumes.append({"case": case, "vus_pr": float(precision_recall), "vus_roc": float(roc)})
    periods = [{"case": case, "window": int(find_length(wave(*case)))} for case in WAVES]
    return {"source": "vus 0.0.6 and TSB_AD 1.5 (they agree)", "volumes": volumes, "periods": periods}


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(recorded(), indent=1) + "\n")
