"""Reads one body for the server: `python -m fulgurite.track.server.solids KIND PATH ENDING` writes it as JSON.

A process of its own, since readers of such files trust them: a few bytes may ask for terabytes, for hours, or end the
process that reads them.
"""

import json
import sys
from pathlib import Path
from typing import Any

MEMORY = 4 << 30  # bytes of address space
SECONDS = 20  # of the processor


def main(kind: str, path: str, ending: str) -> None:
    """Write the body, or ``{"error": …}``."""
    limit()
    sys.stdout.write(json.dumps(read(kind, Path(path), ending), allow_nan=False))


def limit() -> None:
    """Let this process have no more than it may need, and write no files, where the system knows such limits."""
    try:
        import resource
    except ImportError:  # Windows; the server's own limit of time holds there, too
        return
    limits = {
        resource.RLIMIT_AS: MEMORY,
        resource.RLIMIT_CPU: SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in limits.items():
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):  # it has a lower one, or the system knows no such limit (macOS)
            continue


def read(kind: str, path: Path, ending: str) -> Any:
    """The body as it is told, or why there is none: its readers raise all kinds of errors for broken files."""
    try:
        if kind == "mesh":
            from fulgurite.track.server.solids.meshes import read_mesh

            return read_mesh(path, ending)
        from fulgurite.track.server.solids.molecules import read_molecule

        return read_molecule(path, ending)
    except Exception as error:
        return {"error": said(error)}


def said(error: Exception) -> str:
    """Why it can't be read, in words of our own where there are some."""
    from fulgurite.base.errors import MissingExtra
    from fulgurite.track.server.solids.shapes import NoSolid

    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and len(causes) < 20:
        causes.append(cause)
    for each in causes:
        if isinstance(each, NoSolid | MissingExtra):
            return str(each)
    if isinstance(error, MemoryError):
        return f"It asks for more memory than the {MEMORY >> 30} GiB that its reader may have."
    return f"It is damaged, or not of the format that its name tells: {type(error).__name__}: {str(error)[:200]}."


if __name__ == "__main__":
    main(*sys.argv[1:4])
