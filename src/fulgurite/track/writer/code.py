"""What code a run runs: its state in git, its main script, and the packages that are installed."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fulgurite.track.writer.values import text

LARGEST_DIFF = 8 * 2**20
LARGEST_SCRIPT = 2 * 2**20
PATIENCE = 10.0  # seconds that one question to git may take

# git asks nobody, takes no locks that others wait for, and starts nothing that a repository names.
CALM = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_ASKPASS": "", "LC_ALL": "C"}
SAFE = ("-c", "core.fsmonitor=false", "-c", "core.pager=cat")


def repository(folder: str | os.PathLike[str]) -> Path | None:
    """The folder of the git repository that holds ``folder``, found without git; None if there is none."""
    here = Path(folder).absolute()
    return next((each for each in (here, *here.parents) if (each / ".git").exists()), None)


def project_name(folder: str | os.PathLike[str]) -> str:
    """What a project is called that nobody has named: as the repository's folder, or as ``folder``."""
    name = (repository(folder) or Path(folder).absolute()).name
    # W&B's client refuses these in a project's name.
    return text(re.sub(r"[/\\#?%:]", "_", name)) or "uncategorized"


def git_state(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], bytes]:
    """Remote, commit, branch and whether there are changes; and the changes against that commit as a patch.

    Both are empty where there is no repository, no git, or no answer in time. Of a patch that is too large nothing
    is kept; ``diffTooLarge`` says so.
    """
    root = repository(folder)
    if root is None:
        return {}, b""
    commit = _asked(root, "rev-parse", "HEAD")
    if commit is None:
        return {}, b""
    found: dict[str, Any] = {"commit": commit.decode().strip()}
    branch, remote = _asked(root, "symbolic-ref", "--short", "HEAD"), _asked(root, "config", "remote.origin.url")
    if branch:
        found["branch"] = branch.decode(errors="replace").strip()
    if remote:
        found["remote"] = _without_password(remote.decode(errors="replace").strip())
    # Untracked files are left out, as W&B does: they may be data.
    diff = _asked(root, "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short", "HEAD")
    found["dirty"] = None if diff is None else bool(diff)
    if diff is not None and len(diff) > LARGEST_DIFF:
        found["diffTooLarge"] = len(diff)
        diff = None
    return found, diff or b""


def main_script() -> tuple[str, bytes] | None:
    """The main script's name, seen from the repository or the working folder, and its source."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    if not path or not os.path.isfile(path) or os.path.getsize(path) > LARGEST_SCRIPT:
        return None
    script = Path(path).absolute()
    root = repository(script.parent) or Path.cwd()
    name = script.relative_to(root).as_posix() if script.is_relative_to(root) else script.name
    return name, script.read_bytes()


def requirements() -> str:
    """The installed packages with their versions, one a line."""
    found = {line for folder in sys.path for line in _installed(folder or ".")}
    return "".join(f"{line}\n" for line in sorted(found, key=str.lower))


def _installed(folder: str) -> Iterator[str]:
    """By the names of their folders: reading the metadata of hundreds of packages would take a while."""
    try:
        entries = os.listdir(folder)
    except OSError:
        return
    for entry in entries:
        described = re.fullmatch(r"([\w.]+)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info", entry)
        if described:
            yield f"{described[1].replace('_', '-')}=={described[2]}"


def _asked(root: Path, *question: str) -> bytes | None:
    """What git answers; None if it can't, or not in time."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *SAFE, *question],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            env={**os.environ, **CALM},
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout


def _without_password(remote: str) -> str:
    return re.sub(r"^(\w[\w+.-]*://)[^/@]*@", r"\1", remote)
