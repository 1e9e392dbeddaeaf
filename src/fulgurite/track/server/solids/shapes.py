"""What is told of a mesh and of a molecule, and which of them are too large to be drawn."""

from base64 import b64encode
from typing import Any, TypedDict

import numpy as np

from fulgurite.track.store.errors import StoreError

MESHES = ("obj", "stl", "glb", "gltf")
MOLECULES = ("pdb", "cif", "mmcif", "mcif", "sdf", "sd", "mol2", "pqr", "gro")
LARGEST = {"mesh": 64 << 20, "molecule": 16 << 20}  # bytes of a file
MOST_FACES = 300_000
MOST_VERTICES = 3 * MOST_FACES  # each face may have three of its own
MOST_ATOMS = 50_000
FARTHEST = 1e30  # beyond it the graphics card knows no numbers


class NoSolid(StoreError):
    """A file can't be drawn as a body; the message says why."""


class Busy(StoreError):
    """Too many bodies are waited for already."""


class NumbersShape(TypedDict):
    """Numbers as Plotly takes them: ``bdata`` is base64 of little-endian ones; ``dtype`` is f8, i4 or u1."""

    dtype: str
    bdata: str


class MeshShape(TypedDict):
    """A mesh: places of its vertices, and for each face the numbers of three of them.

    ``colours`` has red, green and blue of each vertex, where they differ; else ``colour`` may be the one of all. ``up``
    is the axis that points upwards; ``notes`` say what is not as the file has it.
    """

    vertices: int
    faces: int
    x: NumbersShape
    y: NumbersShape
    z: NumbersShape
    i: NumbersShape
    j: NumbersShape
    k: NumbersShape
    colour: str | None
    colours: NumbersShape | None
    up: str
    notes: list[str]


class MoleculeShape(TypedDict):
    """A molecule: places of its atoms in ångström, ``element`` as places in ``elements``, and what each is called.

    ``bonds`` are pairs of numbers of atoms, one after the other; ``guessed`` says that they were made of distances.
    """

    atoms: int
    x: NumbersShape
    y: NumbersShape
    z: NumbersShape
    elements: list[str]
    element: NumbersShape
    names: list[str]
    bonds: NumbersShape
    guessed: bool
    notes: list[str]


def numbers(values: Any, dtype: str) -> NumbersShape:
    """The values as they are sent."""
    return {"dtype": dtype, "bdata": b64encode(np.asarray(values, dtype=f"<{dtype}").tobytes()).decode()}
