"""Reads a mesh with trimesh, which is given nothing but the bytes of the file itself."""

import io
import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fulgurite.base.optional import require
from fulgurite.track.server.solids.shapes import FARTHEST, MOST_FACES, MOST_VERTICES, MeshShape, NoSolid, numbers

Numbers = npt.NDArray[Any]
UP = {"stl": "z"}  # all others have y upwards, as glTF asks for
HARMLESS = ("KHR_materials_", "KHR_texture_", "EXT_texture_")  # glTF extensions without which a mesh is as it is
PLAIN = (75, 139, 212)  # parts without a colour beside some that have one


class Part(NamedTuple):
    """Some faces with their vertices; ``colours`` is None where the file says nothing of them."""

    vertices: Numbers
    faces: Numbers
    colours: Numbers | None


class Alone:
    """What a file asks for beside itself: there is nothing."""

    def get(self, name: str) -> bytes:
        raise NoSolid(f"It refers to {name[:200]!r}: only files that hold all of their mesh are drawn.")

    __getitem__ = get


def read_mesh(path: Path, ending: str) -> MeshShape:
    """The mesh in a file whose name has that ending. Raises ``NoSolid``."""
    scene = _scene(path.read_bytes(), ending)
    parts, notes = _parts(scene, ending)
    vertices = np.concatenate([each.vertices for each in parts])
    starts = np.cumsum([0, *(len(each.vertices) for each in parts[:-1])])
    faces = np.concatenate([each.faces + start for each, start in zip(parts, starts, strict=True)])
    if lost := len(faces) - len(faces := _drawable(vertices, faces)):
        notes.append(f"{lost:,} faces are not drawn: their vertices are missing or not finite.")
    if not len(faces):
        raise NoSolid("It has no faces that can be drawn.")
    if ending == "obj" and any(each.colours is None for each in parts):
        notes += _unread_materials(path)
    colour, colours = _paint(parts)
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    vertices = np.where(used[:, None], vertices, vertices[faces[0, 0]])  # what no face uses may be anything
    x, y, z = (numbers(vertices[:, axis], "f8") for axis in range(3))
    i, j, k = (numbers(faces[:, corner], "i4") for corner in range(3))
    return {
        "vertices": len(vertices), "faces": len(faces), "x": x, "y": y, "z": z, "i": i, "j": j, "k": k,
        "colour": colour, "colours": None if colours is None else numbers(colours.ravel(), "u1"),
        "up": UP.get(ending, "y"), "notes": notes,
    }  # fmt: skip


def _scene(content: bytes, ending: str) -> Any:
    """What trimesh makes of it. An .obj is read without its materials: they are in another file."""
    trimesh = require("trimesh", "track")
    if ending in ("gltf", "glb"):
        _refuse_unread(_tree(content, ending))
    resolver, more = (None, {"skip_materials": True}) if ending == "obj" else (Alone(), {})
    return trimesh.load_scene(
        io.BytesIO(content), file_type=ending, resolver=resolver, allow_remote=False, process=False, **more
    )


def _tree(content: bytes, ending: str) -> dict[str, Any]:
    """The JSON of a glTF; that of a .glb is its first chunk, behind twelve bytes and its own length and kind."""
    if ending == "glb":
        content = content[20 : 20 + struct.unpack_from("<I", content, 12)[0]] if len(content) >= 20 else b"0"
    tree = json.loads(content)
    if not isinstance(tree, dict):  # trimesh looks for another file then
        raise NoSolid("It is no glTF: its JSON is no object.")
    return tree


def _refuse_unread(tree: dict[str, Any]) -> None:
    """Raise ``NoSolid`` for a mesh that trimesh would take for zeros: compressed, or told by differences."""
    needed = {each for each in tree.get("extensionsRequired", []) if not str(each).startswith(HARMLESS)}
    if needed:
        raise NoSolid(f"It needs {', '.join(sorted(map(str, needed)))[:200]}, which is not read. Export it without.")
    if any("sparse" in each for each in tree.get("accessors", [])):
        raise NoSolid("It has sparse accessors, which are not read. Export it without.")


def _parts(scene: Any, ending: str) -> tuple[list[Part], list[str]]:
    """All parts where the scene has put them. They are counted first: a small file may hold one a million times."""
    placed = [scene.graph[node] for node in scene.graph.nodes_geometry]
    solid = [(place, scene.geometry[name]) for place, name in placed if hasattr(scene.geometry[name], "faces")]
    count = sum(len(mesh.faces) for _, mesh in solid)
    if count > MOST_FACES:
        raise NoSolid(f"It has {count:,} faces; up to {MOST_FACES:,} are drawn.")
    if not count:
        raise NoSolid("It has no faces: it is empty, not whole, or not of the format that its name tells.")
    if (vertices := sum(len(mesh.vertices) for _, mesh in solid)) > MOST_VERTICES:
        raise NoSolid(f"It has {vertices:,} vertices; up to {MOST_VERTICES:,} are drawn.")
    others = len(placed) - len(solid)
    notes = [f"{others:,} parts that are lines or points are not drawn."] if others else []
    return [_part(mesh, place, ending) for place, mesh in solid], notes


def _part(mesh: Any, place: Any, ending: str) -> Part:
    if ending == "stl":
        mesh.merge_vertices()  # each of its faces has three of its own
    vertices = np.asarray(mesh.vertices, float).reshape(-1, 3)
    turn = np.asarray(place, float)
    with np.errstate(all="ignore"):  # what is not finite is left out later
        vertices = vertices @ turn[:3, :3].T + turn[:3, 3]
    return Part(vertices, np.asarray(mesh.faces, np.int64), _colours(mesh, ending))


def _drawable(vertices: Numbers, faces: Numbers) -> Numbers:
    there = ((faces >= 0) & (faces < len(vertices))).all(axis=1)
    faces = faces[there]
    fine = np.all(np.abs(vertices) < FARTHEST, axis=1)  # false for NaN
    return faces[fine[faces].all(axis=1)]


def _colours(mesh: Any, ending: str) -> Numbers | None:
    """Red, green and blue of each vertex: its own, of its faces, of its place in a texture, or of its material."""
    visual = mesh.visual
    if visual.kind == "texture" and ending != "obj":
        visual = _material(visual, len(mesh.vertices))
    colours = visual if isinstance(visual, np.ndarray) else None
    if colours is None and visual.kind in ("vertex", "face"):
        colours = np.asarray(visual.vertex_colors)
    return colours[:, :3].astype(np.uint8) if colours is not None and len(colours) == len(mesh.vertices) else None


def _material(visual: Any, count: int) -> Numbers:
    try:
        colours = np.asarray(visual.to_color().vertex_colors)
    except Exception:  # a texture that can't be read leaves the colour of the material
        colours = np.empty((0, 4))
    return colours if len(colours) == count else np.tile(np.asarray(visual.material.main_color), (count, 1))


def _paint(parts: list[Part]) -> tuple[str | None, Numbers | None]:
    """One colour for all, or one for each vertex, or neither."""
    if all(each.colours is None for each in parts):
        return None, None
    colours = np.concatenate(
        [np.tile(PLAIN, (len(each.vertices), 1)) if each.colours is None else each.colours for each in parts]
    ).astype(np.uint8)
    if (colours == colours[0]).all():
        return "#" + bytes(colours[0].tolist()).hex(), None
    return None, colours


def _unread_materials(path: Path) -> list[str]:
    with path.open("rb") as file:
        named = any(line.startswith(b"mtllib") for line in file)
    return ["Its colours are in a file beside it (.mtl), which is not read."] if named else []
