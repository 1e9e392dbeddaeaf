"""Reads molecules of the formats that are simple lists of atoms: SDF, MOL2, PQR and GRO."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from fulgurite.track.server.solids.shapes import NoSolid

Bond = tuple[int, int]
NANOMETRE = 10.0  # ångström
IONS = {"SOD": "Na", "CLA": "Cl", "POT": "K", "CAL": "Ca", "CES": "Cs", "LIT": "Li"}  # as CHARMM calls them
TWO_LETTERS = ("CL", "BR")  # at the beginning of a name they are no carbon and no boron


class Atom(NamedTuple):
    """An atom: the symbol of its element, where it is in ångström, and what it is called."""

    element: str
    place: tuple[float, float, float]
    name: str


class Molecule(NamedTuple):
    """Atoms in the file's order; ``bonds`` is None where the file has none to tell."""

    atoms: Sequence[Atom]
    bonds: Sequence[Bond] | None
    notes: Sequence[str] = ()


def read_sdf(text: str) -> Molecule:
    """The first molecule of an SDF, of version 2000 or 3000."""
    lines = text.replace("\r\n", "\n").split("\n")  # a title may hold what `splitlines` takes for an end
    ends = [number for number, line in enumerate(lines) if line.startswith("$$$$")]
    first = lines[: ends[0]] if ends else lines
    more = sum(any(map(str.strip, lines[a + 1 : b])) for a, b in zip_longest(ends, ends[1:]))
    notes = [f"The first of {more + 1:,} molecules."] if more else []
    if len(first) < 4:
        raise NoSolid("It has no line that counts atoms and bonds.")
    atoms, bonds = _of_version_3000(first) if "V3000" in first[3] else _of_version_2000(first)
    return Molecule(atoms, bonds, notes)


def _of_version_2000(lines: Sequence[str]) -> tuple[list[Atom], list[Bond]]:
    count, bonds = int(lines[3][0:3]), int(lines[3][3:6])
    if min(count, bonds) < 0 or len(lines) < 4 + count + bonds:
        raise NoSolid(f"It counts {count} atoms and {bonds} bonds, which are not there.")
    atoms = [
        Atom(line[31:34].strip(), (float(line[0:10]), float(line[10:20]), float(line[20:30])), f"atom {number}")
        for number, line in enumerate(lines[4 : 4 + count], 1)
    ]
    return atoms, [(int(line[0:3]) - 1, int(line[3:6]) - 1) for line in lines[4 + count : 4 + count + bonds]]


def _of_version_3000(lines: Sequence[str]) -> tuple[list[Atom], list[Bond]]:
    rows = [line[6:].split() for line in lines if line.startswith("M  V30")]
    atoms = {row[0]: Atom(row[1], _place(row[2:5]), f"atom {row[0]}") for row in _between(rows, "ATOM")}
    order = {number: place for place, number in enumerate(atoms)}
    return list(atoms.values()), [(order[row[2]], order[row[3]]) for row in _between(rows, "BOND")]


def _between(rows: Iterable[list[str]], what: str) -> Iterator[list[str]]:
    inside = False
    for row in rows:
        if row[:2] in (["BEGIN", what], ["END", what]):
            inside = row[0] == "BEGIN"
        elif inside:
            yield row


def read_mol2(text: str) -> Molecule:
    """The first molecule of a MOL2 file."""
    parts: dict[str, list[list[str]]] = {"ATOM": [], "BOND": []}
    here, molecules = "", 0
    for line in text.splitlines():
        if line.startswith("@<TRIPOS>"):
            here = line[9:].strip()
            molecules += here == "MOLECULE"
        elif molecules <= 1 and here in parts and line.strip() and not line.startswith("#"):
            parts[here].append(line.split())
    atoms = [Atom(row[5].split(".")[0], _place(row[2:5]), row[1]) for row in parts["ATOM"]]
    order = {row[0]: place for place, row in enumerate(parts["ATOM"])}
    bonds = [(order[row[1]], order[row[2]]) for row in parts["BOND"]]
    return Molecule(atoms, bonds, [f"The first of {molecules:,} molecules."] if molecules > 1 else [])


def read_pqr(text: str) -> Molecule:
    """The atoms of a PQR file: words with spaces between them, of which the last five are place, charge and radius."""
    atoms = []
    for line in text.splitlines():
        if line.startswith(("ATOM", "HETATM")):
            row = line.split()
            atoms.append(Atom(_element(row[2], row[3]), _place(row[-5:-2]), " ".join(row[2:-5])))
    return Molecule(atoms, None)


def read_gro(text: str) -> Molecule:
    """The first frame of a GRO file, whose places are in nanometres."""
    lines = text.splitlines()
    count = int(lines[1])
    if count < 0 or len(lines) < 2 + count:
        raise NoSolid(f"It counts {count} atoms, which are not there.")
    atoms = []
    for line in lines[2 : 2 + count]:
        residue, name = line[5:10].strip(), line[10:15].strip()
        width = line.index(".", line.index(".", 20) + 1) - line.index(".", 20)
        x, y, z = (NANOMETRE * float(line[20 + i * width : 20 + (i + 1) * width]) for i in range(3))
        atoms.append(Atom(_element(name, residue), (x, y, z), f"{name} {residue} {line[0:5].strip()}"))
    return Molecule(atoms, None, ["The first of several frames."] if len(lines) > 4 + count else [])


def _place(words: Sequence[str]) -> tuple[float, float, float]:
    x, y, z = map(float, words)
    return x, y, z


def _element(name: str, residue: str) -> str:
    """By the name of an atom: that of an ion is the name of its residue, of all others the first letters tell."""
    letters = "".join(filter(str.isalpha, name))
    if letters.upper() in IONS or letters[:2].upper() in TWO_LETTERS:
        return IONS.get(letters.upper(), letters[:2])
    return letters if letters.upper() == "".join(filter(str.isalpha, residue)).upper() else letters[:1]


READERS: Mapping[str, Callable[[str], Molecule]] = {
    "sdf": read_sdf,
    "sd": read_sdf,
    "mol2": read_mol2,
    "pqr": read_pqr,
    "gro": read_gro,
}
