"""Small bodies in files of each format: a box of eight corners and twelve faces, and molecules."""

import base64
import json
from typing import Any

import trimesh

GLYCINE = """\
HEADER    GLYCINE
ATOM      1  N   GLY A   1       0.000   0.000   0.000  1.00  0.00           N
ATOM      2  CA  GLY A   1       1.450   0.000   0.000  1.00  0.00           C
ATOM      3  C   GLY A   1       2.000   1.420   0.000  1.00  0.00           C
ATOM      4  O   GLY A   1       1.250   2.390   0.000  1.00  0.00           O
HETATM    5 ZN    ZN A   2      10.000  10.000  10.000  1.00  0.00          ZN
END
"""
WATER = """\
water

made by hand
  3  2  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 O   0  0
    0.9600    0.0000    0.0000 H   0  0
   -0.2400    0.9300    0.0000 H   0  0
  1  2  1  0
  1  3  1  0
M  END
$$$$
"""


def box(ending: str, **colours: Any) -> bytes:
    """A box with sides of 1, 2 and 3 around the origin; a .gltf holds all that belongs to it."""
    mesh = trimesh.creation.box((1, 2, 3))
    for kind, values in colours.items():
        setattr(mesh.visual, kind, values)
    if ending == "gltf":
        return json.dumps(tree(mesh)).encode()
    if ending == "ascii.stl":
        return trimesh.exchange.stl.export_stl_ascii(mesh).encode()
    content = mesh.export(file_type=ending)
    return content if isinstance(content, bytes) else content.encode()


def tree(mesh: Any = None) -> dict[str, Any]:
    """The JSON of a glTF with its numbers inside."""
    files = (trimesh.creation.box((1, 2, 3)) if mesh is None else mesh).export(file_type="gltf")
    found = json.loads(files["model.gltf"])
    for buffer in found["buffers"]:
        content = base64.b64encode(files[buffer["uri"]]).decode()
        buffer["uri"] = f"data:application/octet-stream;base64,{content}"
    return found
