"""How the code of two runs differs."""

from dataclasses import dataclass
from typing import TypedDict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.asked import BadRequest
from fulgurite.track.server.api.described import needed, tells
from fulgurite.track.server.api.hunks import HunkShape, hunks
from fulgurite.track.server.api.runs import project_of
from fulgurite.track.server.api.shapes import answer
from fulgurite.track.store.lineage import OUTPUT
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store

CODE = ("diff.patch", "requirements.txt", "conda-environment.yaml", "pip-freeze.txt")
LARGEST = 4 << 20  # bytes of a text
MOST_LINES = 100_000
NO_DETAIL = {"hunks": [], "more": False, "binary": False}


@dataclass(frozen=True)
class Code:
    """A file of code that a run kept, wherever it lies."""

    name: str
    size: int
    sha256: str


class DifferentFileShape(TypedDict):
    """A file that is not the same in both runs; a size is null where it is not there."""

    name: str
    a: int | None
    b: int | None


class DiffRoutes:
    """The address of differences between two runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        return [Route("/projects/{entity}/{project}/diff", self.diff, methods=["GET"])]

    @tells(
        {"files": list[DifferentFileShape], "same": int, "hunks": list[HunkShape], "more": bool, "binary": bool},
        query={"a": needed("a run's name"), "b": needed("another one's"), "name": "a file: how that one differs"},
    )
    def diff(self, request: Request) -> Response:
        """The files of code that differ between two runs, and how the one does that ``name`` names."""
        project = project_of(self._store, request)
        runs = [self._store.runs.find(project, asked.text(request, side)) for side in ("a", "b")]
        a, b = (self._code(run) for run in runs)
        name = request.query_params.get("name")
        different: list[DifferentFileShape] = [
            {"name": each, "a": _size(a.get(each)), "b": _size(b.get(each))}
            for each in sorted({*a, *b})
            if each not in a or each not in b or a[each].sha256 != b[each].sha256
        ]
        detail = NO_DETAIL if name is None else self._difference(a.get(name), b.get(name), name)
        return answer({"files": different, "same": len({*a, *b}) - len(different), **detail})

    def _code(self, run: Run) -> dict[str, Code]:
        """What the run kept of its code, by name: its files, and those of artifacts of the type ``code``."""
        artifacts = self._store.artifacts
        found: dict[str, Code] = {}
        for made in map(artifacts.by_id, artifacts.lineage.of(run.id, OUTPUT)):
            if artifacts.collections.by_id(made.collection_id).type == "code":
                for entry in artifacts.contents.entries(made.id):
                    if entry.sha256 is not None:
                        name = f"code/{entry.name.removeprefix('code/')}"
                        found[name] = Code(name, entry.size, entry.sha256)
        for file in self._store.blobs.files(run.id):
            if is_code(file.name):
                found[file.name] = Code(file.name, file.blob.size, file.blob.sha256)
        return found

    def _difference(self, a: Code | None, b: Code | None, name: str) -> dict[str, object]:
        if a is None and b is None:
            raise BadRequest(f"Neither run has a file of code {name!r}.")
        texts = [self._text(file) for file in (a, b)]
        if any(text is None for text in texts):
            return {**NO_DETAIL, "binary": True}
        lines = [(text or "").splitlines() for text in texts]
        if max(map(len, lines)) > MOST_LINES:
            raise BadRequest(
                f"{name!r} has more than {MOST_LINES} lines. Download both and compare them on your machine."
            )
        found, more = hunks(lines[0], lines[1])
        return {"hunks": found, "more": more, "binary": False}

    def _text(self, file: Code | None) -> str | None:
        """The file's text; empty where there is none, None where it is no text."""
        if file is None:
            return ""
        if file.size > LARGEST:
            raise BadRequest(f"{file.name!r} has more than {LARGEST >> 20} MiB. Download both and compare them.")
        content = self._store.blobs.path(file.sha256).read_bytes()
        return None if b"\0" in content else content.decode(errors="replace")


def is_code(name: str) -> bool:
    """Whether a run's file is of the code that it ran."""
    return name in CODE or name.startswith("code/")


def _size(file: Code | None) -> int | None:
    return None if file is None else file.size
