"""What an import costs: seconds in a new interpreter, above `import torch`, each statement measured in turn.

    python benchmarks/imports.py [--rounds 15] [--json imports.json]

The statements take turns within a round, so that a busy minute of the machine falls on all of them alike; the cost of
a statement is the median over the rounds of its time less torch's time in the same round.
"""

import argparse
import importlib.util
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

TORCH = "import torch, torch.utils.data"
STATEMENTS = {
    "fulgurite": f"{TORCH}\nimport fulgurite",
    "Trainer, LightningModule": f"{TORCH}\nfrom fulgurite import LightningModule, Trainer",
    "all callbacks and loggers": f"{TORCH}\nfrom fulgurite.callbacks import *\nfrom fulgurite.loggers import *",
    "lightning.pytorch": f"{TORCH}\nimport lightning.pytorch",
}


def main():
    options = arguments()
    statements = dict(STATEMENTS)
    if importlib.util.find_spec("lightning") is None:
        del statements["lightning.pytorch"]
    rounds = [measure_all(statements) for _ in range(options.rounds + 1)][1:]  # the first one fills the disk's cache
    torch_alone = [times["torch"] for times in rounds]
    print(f"{'import torch':<28} {statistics.median(torch_alone):7.3f} s")
    results = {"machine": machine(), "rounds": options.rounds, "torch": torch_alone, "above_torch": {}}
    for name in statements:
        above = sorted(times[name] - times["torch"] for times in rounds)
        results["above_torch"][name] = above
        low, middle, high = above[len(above) // 10], statistics.median(above), above[-1 - len(above) // 10]
        print(f"  + {name:<24} {middle:+7.3f} s   (one in ten below {low:+.3f}, one in ten above {high:+.3f})")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write machine and all times there")
    return parser.parse_args()


def measure_all(statements):
    return {"torch": seconds(TORCH), **{name: seconds(statement) for name, statement in statements.items()}}


def seconds(statement):
    """CPU seconds of the process, which a busy neighbour does not stretch as much as it does the clock."""
    script = (
        f"{statement}\nimport resource\nu = resource.getrusage(resource.RUSAGE_SELF)\nprint(u.ru_utime + u.ru_stime)"
    )
    answer = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    return float(answer.stdout)


def machine():
    import torch

    return {"python": platform.python_version(), "torch": torch.__version__, "processor": platform.processor()}


if __name__ == "__main__":
    main()
