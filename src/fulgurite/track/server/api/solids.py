"""Logged meshes and molecules as they are drawn: places, faces, atoms and bonds, whatever the format of the file."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fulgurite.track.server.api import asked
from fulgurite.track.server.api.described import needed, tells
from fulgurite.track.server.api.runs import run_of
from fulgurite.track.server.solids.reader import read_solid
from fulgurite.track.server.solids.shapes import MeshShape, MoleculeShape
from fulgurite.track.store.store import Store

NAME = {"name": needed("a file of the run")}
FORMAT = 1  # counts what is told; a browser keeps it by this number and the file's content


class SolidRoutes:
    """Addresses of the bodies in the files of one store's runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[BaseRoute]:
        run = "/projects/{entity}/{project}/runs/{run}"
        return [
            Route(run + "/mesh", self.mesh, methods=["GET"]),
            Route(run + "/molecule", self.molecule, methods=["GET"]),
        ]

    @tells(MeshShape, query=NAME)
    def mesh(self, request: Request) -> Response:
        """The mesh in an .obj, .stl, .glb or .gltf file; what such a file refers to outside itself is not read."""
        return self._solid("mesh", request)

    @tells(MoleculeShape, query=NAME)
    def molecule(self, request: Request) -> Response:
        """The molecule in a .pdb, .cif, .mmcif, .mcif, .sdf, .sd, .mol2, .pqr or .gro file."""
        return self._solid("molecule", request)

    def _solid(self, kind: str, request: Request) -> Response:
        file = self._store.blobs.file(run_of(self._store, request).id, asked.text(request, "name"))
        headers = {"ETag": f'W/"{file.blob.sha256}-{kind}-{FORMAT}"', "Cache-Control": "private, no-cache"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        told = read_solid(kind, self._store.blobs.path(file.blob.sha256), file.name)
        return Response(told, headers=headers, media_type="application/json")
