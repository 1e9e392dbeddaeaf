"""How long it takes until a local dashboard answers: from the command to its first page, beside TensorBoard and MLflow.

    python benchmarks/ui.py [--rounds 7] [--json benchmarks/results/ui.json]

Each shows an empty folder; they take turns within a round. Seconds by the clock, and of CPU until then. A peer that is
not installed (extras `tensorboard`, `bench-track`) is left out and named.
"""

import argparse
import importlib.util
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
from machine import machine

PATIENCE = 120.0
COMMANDS = {
    "fulgurite ui": ("fulgurite", ["-m", "fulgurite", "ui", "--no-browser", "--data", "{folder}", "--port", "{port}"]),
    "tensorboard": ("tensorboard", ["-m", "tensorboard.main", "--logdir", "{folder}", "--port", "{port}"]),
    "mlflow server": (
        "mlflow",
        ["-m", "mlflow", "server", "--backend-store-uri", "sqlite:///{folder}/m.db", "--port", "{port}"],
    ),
}


def main():
    options = arguments()
    there = [name for name, (module, _) in COMMANDS.items() if importlib.util.find_spec(module)]
    print("not installed, so left out:", ", ".join(sorted(COMMANDS.keys() - there)) or "none")
    rounds = [{name: start(name) for name in there} for _ in range(options.rounds + 1)][1:]  # the first fills caches
    for name in there:
        for what, place in (("clock", 0), ("CPU", 1)):
            taken = sorted(each[name][place] for each in rounds)
            print(f"{name:<16} {what:<6} {statistics.median(taken):6.2f} s  ({taken[0]:.2f} to {taken[-1]:.2f})")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "clock_and_cpu_seconds": rounds}, indent=1) + "\n")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write machine and all times there")
    return parser.parse_args()


def start(name):
    """Seconds by the clock and of CPU, of the process and its children, until the first page is there."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        words = [word.format(folder=folder, port=port) for word in COMMANDS[name][1]]
        begin = time.perf_counter()
        process = psutil.Popen(
            [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
        )
        try:
            while not answers(f"http://127.0.0.1:{port}/"):
                if process.poll() is not None or time.perf_counter() - begin > PATIENCE:
                    raise SystemExit(f"{name} did not answer; run it by hand: {' '.join(words)}")
                time.sleep(0.01)
            taken = time.perf_counter() - begin
            spent = [each.cpu_times() for each in (process, *process.children(recursive=True))]
            return taken, sum(each.user + each.system for each in spent)
        finally:
            for each in (*process.children(recursive=True), process):
                each.kill()
            process.wait(10)


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=10):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
