"""Meshes of all formats as the API tells them, and files that were made to do harm."""

import base64
import io
import json
import socket
import struct
import zlib

import numpy as np
import pytest
import trimesh
from PIL import Image

from fulgurite.track.server.solids import reader, shapes
from support.solids import box, tree

TRIANGLE = b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"


@pytest.fixture
def vertices(numbers):
    return lambda mesh: np.stack([numbers(mesh[axis]) for axis in "xyz"], axis=1)


@pytest.fixture
def faces(numbers):
    return lambda mesh: np.stack([numbers(mesh[corner]) for corner in "ijk"], axis=1)


def refused(answer, status=400):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize("ending", ["obj", "stl", "ascii.stl", "glb", "gltf", "OBJ"])
def test_a_mesh_of_each_format(asked, vertices, faces, ending):
    """Its volume tells that faces have the right vertices, each turned to the outside."""
    mesh = asked("mesh", box(ending.lower()), f"media/box.{ending}").json()

    corners = vertices(mesh)[faces(mesh)]
    assert (mesh["vertices"], mesh["faces"], mesh["notes"]) == (8, 12, [])
    assert np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6 == pytest.approx(6)
    assert mesh["up"] == ("z" if ending.endswith("stl") else "y")


def test_parts_stand_where_the_scene_puts_them(told, vertices, faces):
    """One mesh that is there twice is drawn twice."""
    scene = trimesh.Scene()
    for x in (0, 10):
        place = np.diag([2, 1, 1, 1]) + x * np.eye(4, k=3)
        scene.add_geometry(trimesh.creation.box(), geom_name="box", transform=place)

    mesh = told("mesh", scene.export(file_type="glb"), "a.glb")

    assert mesh["faces"] == 24 and faces(mesh).max() == 15
    assert (vertices(mesh)[:, 0].min(), vertices(mesh)[:, 0].max()) == (-1, 11)


def painted(material, **more):
    """The box as a glTF with a material."""
    found = tree() | {"materials": [{"pbrMetallicRoughness": material}]} | more
    found["meshes"][0]["primitives"][0]["material"] = 0
    return json.dumps(found).encode()


def test_one_colour_of_vertices_or_of_a_material(told):
    red = told("mesh", box("glb", vertex_colors=[255, 0, 0, 255]), "red.glb")
    green = told("mesh", painted({"baseColorFactor": [0, 1, 0, 1]}), "green.gltf")
    bare = told("mesh", box("obj"), "bare.obj")

    assert [each["colour"] for each in (red, green, bare)] == ["#ff0000", "#00ff00", None]
    assert [each["colours"] for each in (red, green, bare)] == [None] * 3


def test_vertices_of_different_colours(told, numbers):
    mesh = told("mesh", b"v 0 0 0 1 0 0\nv 1 0 0 0 1 0\nv 0 1 0 0 0 1\nf 1 2 3\n", "a.obj")

    assert mesh["colour"] is None and numbers(mesh["colours"]).tolist() == [255, 0, 0, 0, 255, 0, 0, 0, 255]


def test_a_texture_colours_the_vertices(told):
    """Each as the picture is where it lies on it."""
    picture = io.BytesIO()
    Image.new("RGB", (4, 4), (0, 128, 255)).save(picture, "PNG")
    mesh = trimesh.creation.box()
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.open(picture))
    mesh.visual = trimesh.visual.TextureVisuals(uv=mesh.vertices[:, :2] + 0.5, material=material)

    assert told("mesh", mesh.export(file_type="glb"), "a.glb")["colour"] == "#0080ff"


def test_what_is_known_is_not_read_again(asked, monkeypatch):
    tag = asked("mesh", box("stl"), "a.stl").headers["etag"]
    monkeypatch.setattr(reader, "_told", lambda *words: pytest.fail("it was read again"))

    assert asked("mesh", box("stl"), "a.stl", **{"If-None-Match": tag}).status_code == 304


def test_a_picture_beside_a_file_is_not_read(told, tmp_path):
    """By its path, with which a reader of files would find it."""
    Image.new("RGB", (4, 4), (0, 128, 255)).save(tmp_path / "blue.png")
    for uri in (f"{tmp_path}/blue.png", f"file://{tmp_path}/blue.png"):
        content = painted({"baseColorTexture": {"index": 0}}, images=[{"uri": uri}], textures=[{"source": 0}])

        answer = told("mesh", content, "a.gltf")

        assert answer["faces"] == 12 and answer["colour"] != "#0080ff" and answer["colours"] is None


def test_what_would_be_taken_for_zeros_is_refused(told):
    """Compressed, by differences, or vertices that a few bytes promise."""
    compressed = tree() | {"extensionsRequired": ["KHR_draco_mesh_compression", "KHR_materials_unlit"]}
    sparse = tree()
    sparse["accessors"][0]["sparse"] = {"count": 1}
    many = tree()
    places = many["meshes"][0]["primitives"][0]["attributes"]["POSITION"]
    many["accessors"][places] = {"componentType": 5126, "type": "VEC3", "count": 12_000_000}

    for content, words in (
        (compressed, "It needs KHR_draco_mesh_compression, which is not read"),
        (sparse, "sparse accessors"),
        (many, "12,000,000 vertices; up to 900,000 are drawn"),
    ):
        assert words in told("mesh", json.dumps(content).encode(), "a.gltf")["error"]


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "/etc/passwd", "../../../../etc/passwd", "http://{address}/x"])
@pytest.mark.parametrize("kind", ["buffers", "images"])
def test_nothing_beside_a_file_is_read(told, kind, uri):
    """No file of this machine, and nothing from the network: a server that listens is never called."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        uri = uri.format(address=f"127.0.0.1:{listening.getsockname()[1]}")
        content = painted({"baseColorTexture": {"index": 0}}, images=[{"uri": uri}], textures=[{"source": 0}])
        if kind == "buffers":
            content = json.dumps(tree() | {"buffers": [{"uri": uri, "byteLength": 100}]}).encode()
        answer = told("mesh", content, "a.gltf")
        with pytest.raises(BlockingIOError):
            listening.accept()

    assert "root:" not in str(answer)
    if kind == "buffers":
        assert f"refers to '{uri}'" in answer["error"]
    else:
        assert answer["faces"] == 12


def test_materials_of_another_file_are_not_read(told, tmp_path):
    (tmp_path / "red.mtl").write_text("newmtl red\nKd 1 0 0\n")
    for name in (f"{tmp_path}/red.mtl", "red.mtl"):
        text = f"mtllib {name}\nusemtl red\n".encode() + TRIANGLE + b"f 1 2 3\n"

        mesh = told("mesh", text, "a.obj")

        assert mesh["colour"] is None and ".mtl" in mesh["notes"][0]


def test_a_picture_that_swells_takes_no_memory(asked):
    """A PNG of a few bytes that says it has 60,000 times 60,000 pixels; the mesh is drawn without it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    uri = "data:image/png;base64," + base64.b64encode(png).decode()
    content = painted({"baseColorTexture": {"index": 0}}, images=[{"uri": uri}], textures=[{"source": 0}])

    assert asked("mesh", content, "a.gltf").json()["faces"] == 12


def changed(**values):
    """A glTF whose accessors say something else."""
    found = tree()
    for accessor in found["accessors"]:
        accessor.update(values)
        if "count" in values:
            accessor.pop("bufferView", None)
    return json.dumps(found).encode()


def cut(content, size):
    assert len(content) > size
    return content[:size]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.obj", b""),
        ("cut.stl", cut(box("stl"), 200)),
        ("claims.stl", b"\0" * 80 + struct.pack("<I", 4_000_000_000) + b"\0" * 500),
        ("range.obj", TRIANGLE + b"f 1 2 999\n"),
        ("huge.obj", TRIANGLE + b"f 1 2 99999999999999999999\n"),
        ("all-nan.obj", b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"),
        ("zip.obj", b"PK\x03\x04" + b"\0" * 500),
        ("cut.glb", cut(box("glb"), 300)),
        ("word.glb", b"glTF"),
        ("long.glb", box("glb")[:12] + struct.pack("<I", 0xFFFFFFFF) + box("glb")[16:]),
        ("no.gltf", b"no json"),
        ("list.gltf", b"[]"),
        ("deep.gltf", b"[" * 1_000_000),
        ("more.gltf", changed(count=10**30)),
        ("kind.gltf", changed(componentType=1)),
    ],
)
def test_a_broken_file_is_told_of(told, name, content):
    assert told("mesh", content, name)["error"].startswith("It ")


def test_a_file_that_asks_for_terabytes_is_told_of(asked):
    """The server goes on: another process read it, and may not have them."""
    assert "more memory than" in refused(asked("mesh", changed(count=10**11), "a.gltf"))
    assert asked("mesh", box("stl"), "b.stl").json()["faces"] == 12


def test_faces_that_can_not_be_drawn_are_counted(told, vertices):
    mesh = told("mesh", TRIANGLE + b"v nan 0 0\nv inf 0 0\nf 1 2 3\nf 1 2 4\nf 1 2 5\n", "a.obj")

    assert mesh["faces"] == 1 and mesh["notes"][0].startswith("2 faces are not drawn")
    assert np.isfinite(vertices(mesh)).all()


def test_too_many_faces_are_told_of(told):
    """Also where a small file holds one mesh many times."""
    many = tree() | {"nodes": [{"mesh": 0}] * 30_000, "scenes": [{"nodes": list(range(30_000))}]}
    lines = TRIANGLE + b"f 1 2 3\n" * (shapes.MOST_FACES + 1)

    assert "360,000 faces; up to 300,000" in told("mesh", json.dumps(many).encode(), "a.gltf")["error"]
    assert "300,001 faces; up to 300,000" in told("mesh", lines, "a.obj")["error"]


def test_too_large_a_file_is_not_read(asked, monkeypatch):
    monkeypatch.setitem(shapes.LARGEST, "mesh", 100)

    assert "684 bytes; a mesh of up to 100" in refused(asked("mesh", box("stl"), "a.stl"), 413)


def test_a_reader_that_takes_too_long_is_ended(asked, monkeypatch):
    monkeypatch.setattr(reader, "PATIENCE", 0.01)

    assert "took more than" in refused(asked("mesh", box("stl"), "a.stl"))


@pytest.mark.parametrize("name", ["a.babylon", "a.ply", "a.obj.gz", "a", ""])
def test_other_files_are_no_meshes(name):
    with pytest.raises(shapes.NoSolid, match=r"\.obj, \.stl, \.glb, \.gltf"):
        reader.ending_of("mesh", name)
