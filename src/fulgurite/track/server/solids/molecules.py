"""Reads a molecule: PDB and mmCIF with gemmi, simpler formats by their records; guesses bonds that are not told."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fulgurite.base.optional import require
from fulgurite.track.server.solids.records import READERS, Atom, Bond, Molecule
from fulgurite.track.server.solids.shapes import FARTHEST, MOST_ATOMS, MoleculeShape, NoSolid, numbers

TOLERANCE = 0.4  # ångström by which a bond may be longer than both radii
TOO_NEAR = 0.4  # ångström: two places of one atom
WIDEST = 2.0  # ångström: the largest radius that makes bonds
MOST_BONDS = 4 * MOST_ATOMS
MOST_PAIRS = 100_000_000  # to be compared: water of as many atoms as are drawn has fewer
USUAL = 1.1  # ångström: the radius of sulfur and less; larger atoms are few, and are compared with all
LONGEST = 60  # letters of a name
PLACES = ("_atom_site_fract_x", "_atom_site.Cartn_x")  # of a crystal's cell, and of a macromolecule
CELL = "The atoms that the file names, without their copies in the crystal."
Numbers = npt.NDArray[Any]


def read_molecule(path: Path, ending: str) -> MoleculeShape:
    """The molecule in a file whose name has that ending. Raises ``NoSolid``."""
    text = path.read_text("utf-8", "replace")
    found = READERS[ending](text) if ending in READERS else _with_gemmi(text, ending)
    if not found.atoms:
        raise NoSolid("It has no atoms.")
    if len(found.atoms) > MOST_ATOMS:
        raise NoSolid(f"It has {len(found.atoms):,} atoms; up to {MOST_ATOMS:,} are drawn.")
    places = np.array([atom.place for atom in found.atoms], float)
    fine = (np.abs(places) < FARTHEST).all(axis=1)  # false for NaN
    if not fine.all():
        raise NoSolid(f"The places of {int((~fine).sum()):,} of its {len(places):,} atoms are not finite.")
    return _told(found, places)


def _told(found: Molecule, places: Numbers) -> MoleculeShape:
    kinds = [require("gemmi", "track").Element(atom.element) for atom in found.atoms]
    symbols = [kind.name for kind in kinds]
    elements = sorted(set(symbols))
    if found.bonds is None:
        bonds, whole = near(places, np.array([kind.covalent_r for kind in kinds]))
    else:
        bonds, whole = _bonds(found.bonds, len(places)), True
    notes = [*found.notes, *([] if whole and len(bonds) <= MOST_BONDS else ["Not all of its bonds are drawn."])]
    x, y, z = (numbers(places[:, axis], "f8") for axis in range(3))
    return {
        "atoms": len(places), "x": x, "y": y, "z": z,
        "elements": elements, "element": numbers([elements.index(symbol) for symbol in symbols], "u1"),
        "names": [atom.name[:LONGEST] for atom in found.atoms],
        "bonds": numbers(bonds[:MOST_BONDS].ravel(), "i4"), "guessed": found.bonds is None, "notes": notes,
    }  # fmt: skip


def _bonds(pairs: Sequence[Bond], count: int) -> Numbers:
    bonds = np.array(pairs, np.int64).reshape(-1, 2)
    if len(bonds) and not (0 <= bonds.min() and bonds.max() < count):
        raise NoSolid(f"A bond leads to an atom that is not there: it has {count:,}.")
    return bonds


def near(places: Numbers, radii: Numbers) -> tuple[Numbers, bool]:
    """Pairs of atoms that are as near to each other as if they were bound, and whether these are all such pairs."""
    radii = np.minimum(radii, WIDEST)
    large, small = np.flatnonzero(radii > USUAL), np.flatnonzero(radii <= USUAL)
    if not len(large) or not len(small) or len(large) * len(radii) > MOST_PAIRS:
        return _swept(places, radii)
    pairs, whole = _swept(places[small], radii[small])
    found = [small[pairs]]
    for place, atom in enumerate(large):
        others = np.concatenate([small, large[place + 1 :]])
        bound = others[_bound(places[atom] - places[others], radii[atom] + radii[others])]
        found.append(np.stack([np.full(len(bound), atom), bound], axis=1))
    return np.concatenate(found), whole


def _bound(between: Numbers, radii: Numbers) -> Numbers:
    apart = np.linalg.norm(between, axis=1)
    return (apart > TOO_NEAR) & (apart <= radii + TOLERANCE)


def _swept(places: Numbers, radii: Numbers) -> tuple[Numbers, bool]:
    along = places[:, np.ptp(places, axis=0).argmax()]  # the longest way through, where the fewest lie side by side
    order = np.argsort(along, kind="stable")
    x, farthest = along[order], 2 * radii.max() + TOLERANCE
    found, compared, count = [np.empty((0, 2), np.int64)], 0, 0
    for step in range(1, len(order)):  # from each atom to the one that is so many places behind it
        starts = np.flatnonzero(x[step:] - x[:-step] <= farthest)
        if not len(starts):
            break
        if (compared := compared + len(starts)) > MOST_PAIRS or count > MOST_BONDS:
            return np.concatenate(found), False
        first, second = order[starts], order[starts + step]
        bound = _bound(places[first] - places[second], radii[first] + radii[second])
        found.append(np.stack([first[bound], second[bound]], axis=1))
        count += int(bound.sum())
    return np.concatenate(found), True


def _with_gemmi(text: str, ending: str) -> Molecule:
    gemmi = require("gemmi", "track")
    if ending == "pdb":
        structure = gemmi.read_pdb_string(text)
    else:
        document = gemmi.cif.read_string(text)
        if not len(document):
            raise NoSolid("It has no block of data.")
        # The first may be about the article alone.
        with_atoms = [block for block in document if any(block.find_values(tag) for tag in PLACES)]
        block = next(iter(with_atoms), document[0])
        if block.find_values(PLACES[0]):
            return _crystal(gemmi.make_small_structure_from_block(block))
        structure = gemmi.make_structure_from_block(block)
    if not len(structure):
        return Molecule([], None)
    notes = [f"The first of {len(structure):,} models."] if len(structure) > 1 else []
    atoms = list(_atoms(structure[0]))
    if others := structure[0].count_atom_sites() - len(atoms):
        notes.append(f"Not drawn are other places that some atoms have ({others:,}).")
    return Molecule(atoms, None, notes)


def _atoms(model: Any) -> Iterator[Atom]:
    for chain in model:
        for residue in chain:
            where = f"{residue.name} {residue.seqid}" + (f", chain {chain.name}" if chain.name else "")
            first = next((atom.altloc for atom in residue if atom.has_altloc()), "")
            for atom in residue:
                if not atom.has_altloc() or atom.altloc == first:
                    yield Atom(atom.element.name, tuple(atom.pos.tolist()), f"{atom.name} {where}")


def _crystal(small: Any) -> Molecule:
    """A small molecule in a crystal: its atoms lie in parts of the cell."""
    sites = [(site, small.cell.orthogonalize(site.fract)) for site in small.sites]
    return Molecule([Atom(site.element.name, tuple(place.tolist()), site.label) for site, place in sites], None, [CELL])
