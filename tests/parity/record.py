"""Record what Lightning does in every scenario: the goldens of ``test_parity.py``.

Usage, with Lightning 2.6 installed beside the project::

    python tests/parity/record.py             # all scenarios and the sample checkpoints
    python tests/parity/record.py 'logs-*'    # only those whose names match

Each ``golden/<scenario>.json`` holds the versions it was recorded with and the scenario's record; ``golden/files``
holds small checkpoints written by Lightning. A golden changes only when a scenario or Lightning changes: read the
difference before you commit it.
"""

import fnmatch
import importlib
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path

import torch

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"


def main(pattern: str = "*") -> int:
    """Record the scenarios whose names match ``pattern``; return how many of them broke."""
    sys.path.insert(0, str(HERE.parent))
    scenarios = importlib.import_module("parity.scenarios").SCENARIOS
    pl = importlib.import_module("lightning.pytorch")
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    (GOLDEN / "files").mkdir(parents=True, exist_ok=True)
    if pattern == "*":
        importlib.import_module("parity.scenarios.samples").write_samples(pl, GOLDEN / "files")
    return sum(not _record(pl, name, scenarios[name]) for name in fnmatch.filter(scenarios, pattern))


def _record(pl, name, scenario) -> bool:
    try:
        with tempfile.TemporaryDirectory() as folder:
            record = scenario(pl, Path(folder))
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return False
    golden = {"lightning": pl.__version__, "torch": torch.__version__, "record": record}
    (GOLDEN / f"{name}.json").write_text(compact(golden) + "\n")
    return True


def compact(golden: dict) -> str:
    """Return JSON with one line per hook and per row, so that a change reads as one in a diff."""

    def shown(value, depth):
        pad = " " * (depth + 1)
        if isinstance(value, dict) and value and depth < 3:
            parts = (f"{pad}{json.dumps(key)}: {shown(part, depth + 1)}" for key, part in value.items())
            return "{\n" + ",\n".join(parts) + "\n" + pad[1:] + "}"
        if isinstance(value, list) and len(value) > 1 and depth < 3:
            return "[\n" + ",\n".join(pad + shown(part, depth + 1) for part in value) + "\n" + pad[1:] + "]"
        return json.dumps(value)

    return shown(golden, 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
