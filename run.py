"""Set the project up and run it: `python3 run.py demo`, `python3 run.py test`. Needs Python and nothing else.

The first call makes `.venv` beside this file and installs the pinned packages of constraints.txt into it. Later calls
find it there and start at once, without a network, until pyproject.toml or constraints.txt change.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
RECORD = VENV / "installed.json"
OLDEST = (3, 11)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

USAGE = """usage: python3 run.py COMMAND [ARGUMENTS]

  demo    find anomalies in a real series, with the document's VAE and with ours: train, track, test, load again, score,
          draw, judge (arguments go to `fulgurite anomaly detect`: a CSV of yours, --model, --synthetic, --out, ...)
  test    run the test suite (arguments go to pytest); with `--extra bench` first, Lightning is there to compare with
  check   run what CI asks besides the tests: ruff, mypy, import layers, the documentation
  docs    serve the documentation at http://127.0.0.1:8000
  setup   only prepare the environment for all of these
"""


def main():
    if sys.version_info < OLDEST:
        return run_under_a_newer_python()
    command, arguments = (sys.argv[1:2] or ["help"])[0], sys.argv[2:]
    commands = {"demo": demo, "test": test, "check": check, "docs": docs, "setup": setup}
    if command in commands:
        return commands[command](arguments)
    if command not in ("help", "-h", "--help"):
        print(f"unknown command: {command}\n")
    print(USAGE)
    return 0 if command in ("help", "-h", "--help") else 2


def demo(arguments):
    install("all")
    # Where the caller stands: there the results go, and paths in the arguments are his.
    detect = [PYTHON, "-m", "fulgurite", "anomaly", "detect", "--logger", "track"]
    if arguments:
        return start(*detect, *arguments, folder=None)
    for model, words in (("seed", "The document's VAE of single rows"), ("window", "The window model")):
        print(f"\n=== {words} ===\n", flush=True)
        code = start(*detect, "--model", model, "--out", str(Path("anomaly", model)), folder=None)
        if code:
            return code
    print(f"\nThe runs, in a browser: {BIN / 'fulgurite'} ui")
    return 0


def test(arguments):
    extras = ["all", "dev"]
    if arguments[:1] == ["--extra"]:
        extras, arguments = extras + arguments[1:2], arguments[2:]
    install(*extras)
    install_browser()
    workers = [] if "-n" in arguments else ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadgroup"]
    return start(PYTHON, "-m", "pytest", *workers, *arguments)


def check(arguments):
    install("all", "dev", "docs")
    steps = [
        [PYTHON, "-m", "ruff", "check", "."],
        [PYTHON, "-m", "ruff", "format", "--check", "."],
        [PYTHON, "-m", "mypy"],
        [BIN / "lint-imports"],
        [PYTHON, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", VENV / "site"],
    ]
    failed = []
    for step in steps:
        line = " ".join(part.name if isinstance(part, Path) else part for part in step)
        print("$", line, flush=True)
        if start(*step):
            failed.append(line)
    print("\n".join(f"failed: {line}" for line in failed) or "all checks passed")
    return 1 if failed else 0


def docs(arguments):
    install("all", "docs")
    return start(PYTHON, "-m", "mkdocs", "serve", *arguments)


def setup(arguments):
    install("all", "dev", "docs")
    print("Ready:", PYTHON)
    return 0


def start(*command, folder=ROOT):
    environment = dict(os.environ, PYTHONUTF8="1", NO_MKDOCS_2_WARNING="true")
    return subprocess.call([str(part) for part in command], cwd=folder, env=environment)


def install(*extras):
    """Make the environment hold ``extras`` at the pinned versions; do nothing if it already does."""
    wanted = {"fingerprint": fingerprint(), "extras": sorted(extras)}
    found = installed()
    if found.get("fingerprint") == wanted["fingerprint"]:
        if set(extras) <= set(found["extras"]):
            return
        wanted["extras"] = sorted({*extras, *found["extras"]})
    loud = [] if make_venv() else ["--quiet"]
    print("Installing into", VENV, "(once; PyTorch is a large download) ...", flush=True)
    # Without the record an installation that is cut short is taken up again by the next call.
    if RECORD.exists():
        RECORD.unlink()
    project = f"{ROOT}[{','.join(wanted['extras'])}]"
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *loud]
    if start(*pip, "-c", ROOT / "constraints.txt", "-e", project):
        sys.exit("The installation failed; pip's own words are above. Call again to take it up where it stopped.")
    RECORD.write_text(json.dumps(wanted))


def install_browser():
    """Have Chromium for the tests of the pages: installed where CI runs as root on Debian, else only spoken of."""
    if any(shutil.which(name) for name in BROWSERS):
        return
    packages = shutil.which("apt-get")
    if packages and os.environ.get("CI") and os.geteuid() == 0:
        print("Installing Chromium for the tests of the pages ...", flush=True)
        quiet = ["-qq", "-o", "Dpkg::Use-Pty=0"]
        start(packages, *quiet, "update")
        start(packages, *quiet, "install", "--yes", "--no-install-recommends", "chromium")
    if not any(shutil.which(name) for name in BROWSERS):
        print("There is no Chromium: tests of the pages are skipped. On Debian: apt-get install chromium", flush=True)


def fingerprint():
    # The place is part of it: an editable installation points to the folder in which it was made.
    parts = [sys.version.encode(), str(ROOT).encode()]
    parts += [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def installed():
    try:
        return json.loads(RECORD.read_text()) if PYTHON.exists() else {}
    except (OSError, ValueError):
        return {}


def make_venv():
    """Make the environment, unless one that works with this Python is there to be brought up to date; say whether."""
    probe = "import pip, sys; print(sys.version)"
    if PYTHON.exists():
        answer = subprocess.run([str(PYTHON), "-c", probe], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if answer.returncode == 0 and answer.stdout.decode().strip() == sys.version.strip():
            return False
    if VENV.exists():
        shutil.rmtree(str(VENV))
    if subprocess.call([sys.executable, "-m", "venv", str(VENV)]):
        sys.exit("This Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv")
    return True


def run_under_a_newer_python():
    for name in ("python3.11", "python3.12", "python3.13"):
        newer = shutil.which(name)
        # A version manager's stub may be on the path for a Python that it does not have.
        if newer and subprocess.call([newer, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            return subprocess.call([newer, str(Path(__file__).resolve()), *sys.argv[1:]])
    have = ".".join(str(part) for part in sys.version_info[:3])
    sys.exit(f"Fulgurite needs Python 3.11 or newer; this is {have} ({sys.executable}).")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
