"""What is in the versions of artifacts: their files, one by one or all at once, and how two versions differ."""

from collections.abc import Iterable, Mapping
from typing import TypedDict

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.archive import zipped
from fulgurite.track.server.api.artifact_shapes import ChangeShape, EntryShape, FolderShape, entry_shape
from fulgurite.track.server.api.artifacts import member_of
from fulgurite.track.server.api.described import flag, needed, tells, whole
from fulgurite.track.server.api.files import content_of
from fulgurite.track.server.api.shapes import answer
from fulgurite.track.store.contents import Entry
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.store import Store

MOST = 1000  # names in an answer


class DifferenceShape(TypedDict):
    """What another version has and this one has not (``added``), the other way round, and what differs.

    At most 1000 names are told of each; ``counts`` are those of all.
    """

    added: list[EntryShape]
    removed: list[EntryShape]
    changed: list[ChangeShape]
    counts: dict[str, int]


class ArtifactContentRoutes:
    """Addresses over the contents of one store's artifacts."""

    def __init__(self, store: Store) -> None:
        self._store, self._artifacts = store, store.artifacts

    def routes(self) -> list[BaseRoute]:
        version = "/projects/{entity}/{project}/artifacts/{type}/{name}/{version}"
        return [
            Route(version + "/files", self.files, methods=["GET"]),
            Route(version + "/file", self.file, methods=["GET", "HEAD"]),
            Route(version + "/zip", self.zip, methods=["GET"]),
            Route(version + "/difference", self.difference, methods=["GET"]),
        ]

    @tells(
        {"folders": list[FolderShape], "files": list[EntryShape], "count": int, "total": int, "size": int},
        query={
            "folder": "the folder to look into; the top without it",
            "first": whole("how many files", MOST),
            "from": whole("from which file of the folder on", 0),
        },
    )
    def files(self, request: Request) -> Response:
        """What lies in a folder of a version.

        `count` is how many files lie directly in the folder, `total` and `size` are those of all that is below it.
        """
        first, start = asked.integer(request, "first", MOST, 1, MOST), asked.integer(request, "from", 0)
        folder = request.query_params.get("folder", "")
        _, member = member_of(self._store, request)
        inside = _below(self._artifacts.contents.entries(member.artifact_id), folder)
        if folder and not inside:
            raise NotFound(f"There is no folder {folder!r} in this version.")
        here = [entry for name, entry in inside if "/" not in name]
        return answer(
            {
                "folders": _folders(inside),
                "files": [entry_shape(each) for each in here[start : start + first]],
                "count": len(here),
                "total": len(inside),
                "size": sum(entry.size for _, entry in inside),
            }
        )

    @tells(
        bytes,
        query={
            "name": needed("the file's name in the version"),
            "download": flag("to be saved, not to be seen"),
            "rendered": flag("a Markdown file as a page to be read: without scripts, and closed to the network"),
        },
        media="application/octet-stream",
    )
    def file(self, request: Request) -> Response:
        """What is in a file of a version."""
        _, member = member_of(self._store, request)
        name = asked.text(request, "name")
        found = self._artifacts.contents.entries(member.artifact_id, [name])
        if not found:
            raise NotFound(f"There is no file {name!r} in this version.")
        if found[0].sha256 is None:
            raise NotFound(f"{name!r} is a reference: its content is at {found[0].ref}, not here.")
        path = self._store.blobs.path(found[0].sha256)
        return content_of(path, found[0].name, request)

    @tells(bytes, media="application/zip")
    def zip(self, request: Request) -> Response:
        """All files of a version as a zip, made while it is sent. References are listed in `references.json`."""
        collection, member = member_of(self._store, request)
        artifact = self._artifacts.by_id(member.artifact_id)
        entries = self._artifacts.contents.entries(artifact.id)
        name = "".join(each if each.isalnum() or each in "-_." else "_" for each in collection.name)
        plain = name.encode("ascii", "replace").decode().replace("?", "_")
        return StreamingResponse(
            zipped(entries, self._store.blobs.path, artifact.created_at),
            media_type="application/zip",
            headers={
                "Content-Disposition": f'attachment; filename="{plain}-v{member.number}.zip"',
                "Cache-Control": "private, no-cache",
            },
        )

    @tells(DifferenceShape, query={"to": needed("the other version: v3, an alias, or a digest")})
    def difference(self, request: Request) -> Response:
        """What changes on the way from this version to another one of the same artifact."""
        collection, member = member_of(self._store, request)
        other = self._artifacts.members.find(collection, asked.text(request, "to"))
        before, after = (
            {entry.name: entry for entry in self._artifacts.contents.entries(each.artifact_id)}
            for each in (member, other)
        )
        return answer(difference_shape(before, after))


def difference_shape(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> DifferenceShape:
    added = [each for name, each in after.items() if name not in before]
    removed = [each for name, each in before.items() if name not in after]
    changed = [name for name, each in before.items() if name in after and after[name].digest != each.digest]
    return {
        "added": [entry_shape(each) for each in added[:MOST]],
        "removed": [entry_shape(each) for each in removed[:MOST]],
        "changed": [{"name": each, "before": before[each].size, "after": after[each].size} for each in changed[:MOST]],
        "counts": {
            "added": len(added),
            "removed": len(removed),
            "changed": len(changed),
            "same": len(before) - len(removed) - len(changed),
        },
    }


def _below(entries: Iterable[Entry], folder: str) -> list[tuple[str, Entry]]:
    """The files below a folder, with their names from there on."""
    above = f"{folder}/" if folder else ""
    return [(each.name[len(above) :], each) for each in entries if each.name.startswith(above)]


def _folders(inside: Iterable[tuple[str, Entry]]) -> list[FolderShape]:
    found: dict[str, FolderShape] = {}
    for name, entry in inside:
        folder, slash, _ = name.partition("/")
        if slash:
            known = found.setdefault(folder, {"name": folder, "files": 0, "size": 0})
            known["files"] += 1
            known["size"] += entry.size
    return [found[name] for name in sorted(found)]
