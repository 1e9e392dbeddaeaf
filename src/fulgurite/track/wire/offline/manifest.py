"""The files of an artifact: in its record, or, if there are very many (over 100,000), in a file beside it."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fulgurite.track.wire.offline.records import Artifact, ManifestEntry


def entries_of(artifact: Artifact) -> Iterator[ManifestEntry]:
    """Yield the files and references one by one.

    Raises ``FileNotFoundError`` if they were listed in a file that is gone: it lies with the client's data, outside the
    run's folder.
    """
    yield from artifact.entries
    if not artifact.manifest_file:
        return
    if not Path(artifact.manifest_file).is_file():
        raise FileNotFoundError(
            f"The files of artifact {artifact.name!r} were listed in {artifact.manifest_file}, which is not there. "
            "Read the run on the machine that wrote it, before the client's data folder is cleaned."
        )
    with gzip.open(artifact.manifest_file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield _entry(json.loads(line))


def _entry(written: dict[str, Any]) -> ManifestEntry:
    return ManifestEntry(
        path=written["path"],
        digest=written["digest"],
        size=written.get("size") or 0,
        reference=written.get("ref") or "",
        local_path=written.get("local_path") or "",
        birth_artifact=written.get("birthArtifactID") or "",
        skip_cache=bool(written.get("skip_cache")),
        extra=written.get("extra") or {},
    )
