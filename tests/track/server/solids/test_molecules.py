"""Molecules of all formats as the API tells them, and files that were made to do harm."""

import threading

import numpy as np
import pytest

from fulgurite.track.server.solids import molecules, reader, records
from fulgurite.track.server.solids.reader import ending_of
from fulgurite.track.server.solids.shapes import NoSolid
from support.solids import GLYCINE, WATER

MMCIF = """\
data_x
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
ATOM 1 N N . GLY A 1 0 0 0
ATOM 2 C CA . GLY A 1 1.45 0 0
"""
CRYSTAL = """\
data_x
_cell_length_a 10
_cell_length_b 10
_cell_length_c 10
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
O1 O 0.1 0 0
H1 H 0.196 0 0
"""
WATER_3000 = """\
water

by hand
  0  0  0     0  0            999 V3000
M  V30 BEGIN CTAB
M  V30 COUNTS 2 1 0 0 0
M  V30 BEGIN ATOM
M  V30 7 O 0 0 0 0
M  V30 9 H 0.96 0 0 0
M  V30 END ATOM
M  V30 BEGIN BOND
M  V30 1 1 9 7
M  V30 END BOND
M  V30 END CTAB
M  END
"""
MOL2 = """\
@<TRIPOS>MOLECULE
water
 2 1
SMALL
NO_CHARGES

@<TRIPOS>ATOM
 1 O 0.0 0.0 0.0 O.3 1 WAT 0.0
 2 H1 0.96 0.0 0.0 H 1 WAT 0.0
@<TRIPOS>BOND
 1 1 2 1
"""
PQR = """\
REMARK by hand
ATOM 1 N GLY 1 0 0 0 0.1 1.5
ATOM 2 CA GLY 1 1.45 0 0 0.1 1.5
HETATM 3 NA NA 2 9 9 9 1 1
"""
GRO = """\
water
    3
    1SOL     OW    1   0.126   0.624   0.679
    1SOL    HW1    2   0.190   0.661   0.747
    2CL      CL    3   0.177   1.568   0.613
   1.8 1.8 1.8
"""


@pytest.fixture
def told(told):
    return lambda text, name: told("molecule", text, name)


@pytest.mark.parametrize(
    ("name", "text", "elements", "pairs", "guessed"),
    [
        ("a.pdb", GLYCINE, ["N", "C", "C", "O", "Zn"], [[0, 1], [1, 2], [2, 3]], True),
        ("a.cif", MMCIF, ["N", "C"], [[0, 1]], True),
        ("a.mmcif", MMCIF, ["N", "C"], [[0, 1]], True),
        ("b.cif", "data_global\n_journal_name x\n" + MMCIF, ["N", "C"], [[0, 1]], True),
        ("b.mcif", "data_global\n_journal_name x\n" + CRYSTAL, ["O", "H"], [[0, 1]], True),
        ("a.mcif", CRYSTAL, ["O", "H"], [[0, 1]], True),
        ("a.sdf", WATER, ["O", "H", "H"], [[0, 1], [0, 2]], False),
        ("a.sd", WATER_3000, ["O", "H"], [[0, 1]], False),
        ("a.mol2", MOL2, ["O", "H"], [[0, 1]], False),
        ("a.pqr", PQR, ["N", "C", "Na"], [[0, 1]], True),
        ("a.gro", GRO, ["O", "H", "Cl"], [[0, 1]], True),
    ],
)
def test_a_molecule_of_each_format(told, numbers, name, text, elements, pairs, guessed):
    molecule = told(text, name)

    symbols = [molecule["elements"][place] for place in numbers(molecule["element"])]
    bonds = numbers(molecule["bonds"]).reshape(-1, 2).tolist()
    assert symbols == elements and sorted(map(sorted, bonds)) == pairs
    assert (molecule["atoms"], molecule["guessed"]) == (len(elements), guessed)
    assert len(molecule["names"]) == len(elements)


def test_places_are_in_angstrom(told, numbers):
    assert numbers(told(GRO, "a.gro")["x"]).tolist() == pytest.approx([1.26, 1.9, 1.77])
    assert numbers(told(CRYSTAL, "a.cif")["x"]).tolist() == pytest.approx([1, 1.96])
    assert numbers(told(GLYCINE, "a.pdb")["y"]).tolist() == [0, 0, 1.42, 2.39, 10]


def test_atoms_are_called_as_chemists_call_them(told):
    assert told(GLYCINE, "a.pdb")["names"][1] == "CA GLY 1, chain A"


def test_the_first_of_several_is_drawn_and_this_is_told(told):
    model = GLYCINE.partition("\n")[2].removesuffix("END\n")
    models = told("".join(f"MODEL     {i}\n{model}ENDMDL\n" for i in (1, 2, 3)), "a.pdb")

    assert models["atoms"] == 5 and models["notes"] == ["The first of 3 models."]
    assert told(WATER * 3, "a.sdf")["notes"] == ["The first of 3 molecules."]
    assert told(MOL2 * 2, "a.mol2")["notes"] == ["The first of 2 molecules."]
    assert told(WATER + "\n\n", "a.sdf")["notes"] == []


def test_an_atom_in_two_places_is_drawn_once(told):
    line = "ATOM      1  N  AGLY A   1       0.000   0.000   0.000  0.50  0.00           N\n"

    other = line.replace("AGLY", "BGLY").replace("0.000  0.50", "1.000  0.50")

    molecule = told(line + other, "a.pdb")

    assert molecule["atoms"] == 1 and "(1)" in molecule["notes"][0]


def test_residues_of_the_same_number_lose_no_atoms(told):
    """Files of many waters count to 9999 and begin again."""
    lines = "".join(
        f"HETATM{i:5}  O   HOH A   1    {i * 5.0:8.3f}   0.000   0.000  1.00  0.00           O\n" for i in range(1, 9)
    )

    assert told(lines, "a.pdb")["atoms"] == 8


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty.pdb", ""),
        ("empty.cif", ""),
        ("nothing.cif", "data_x\n_a 1\n"),
        ("bytes.pdb", b"\0\1\xff" * 1000),
        ("bytes.cif", b"\0\1\xff" * 1000),
        ("cut.sdf", WATER[:100]),
        ("line.sdf", "x"),
        ("claims.sdf", WATER.replace("  3  2", "999999")),
        ("bond.sdf", WATER.replace("  1  3", "  1 99")),
        ("bond.mol2", MOL2.replace(" 1 1 2 1", " 1 1 7 1")),
        ("cut.mol2", MOL2.replace(" H 1 WAT 0.0", "")),
        ("claims.gro", GRO.replace("    3\n", "99999999999\n")),
        ("negative.sdf", WATER.replace("  3  2", " -1  0")),
        ("negative.gro", GRO.replace("    3\n", "-5\n")),
        ("nan.pqr", "ATOM 1 N GLY 1 nan 0 0 0.1 1.5\n"),
        ("infinite.pqr", "ATOM 1 N GLY 1 1e999 0 0 0.1 1.5\n"),
        ("many.pqr", "ATOM 1 N GLY 1 0 0 0 0.1 1.5\n" * (molecules.MOST_ATOMS + 1)),
    ],
)
def test_a_broken_file_is_told_of(told, name, text):
    assert told(text, name)["error"][:2] in ("It", "A ", "Th")


@pytest.mark.parametrize("name", ["a.mmtf", "a.pdb.gz", "pdb "])
def test_what_is_not_understood_is_told(name):
    with pytest.raises(NoSolid, match=r"\.pdb, \.cif"):
        ending_of("molecule", name)


def test_it_is_told_by_the_server(asked):
    """With the words of the reader where it can't be read."""
    assert asked("molecule", GLYCINE, "media/molecule/a.PDB").json()["atoms"] == 5
    answer = asked("molecule", "x", "a.cif")
    assert answer.status_code == 400 and "expected block header" in answer.json()["error"]
    assert asked("molecule", "x", "a.mmtf").status_code == 400


def test_where_many_wait_no_more_are_taken(asked, monkeypatch):
    """Each holds a thread, of which all other requests need some."""
    full = threading.BoundedSemaphore(1)
    full.acquire()
    monkeypatch.setattr(reader, "_waiting", full)

    answer = asked("molecule", GLYCINE, "a.pdb")

    assert answer.status_code == 503 and "Ask again later" in answer.json()["error"]


def test_bonds_are_those_that_all_pairs_have():
    """Compared with a search through each pair, for atoms strewn at random."""
    draw = np.random.default_rng(0)
    places, radii = draw.uniform(0, 12, (300, 3)), draw.choice([0.31, 0.76, 1.22], 300)
    apart = np.linalg.norm(places[:, None] - places, axis=2)
    bound = (apart > molecules.TOO_NEAR) & (apart <= radii[:, None] + radii + molecules.TOLERANCE)

    found, whole = molecules.near(places, radii)

    assert whole and len(found) > 100
    assert {tuple(sorted(pair)) for pair in found.tolist()} == {(i, j) for i, j in np.argwhere(bound) if i < j}


def test_an_ion_in_water_does_not_end_the_search(monkeypatch):
    """Its radius is that of few others."""
    draw = np.random.default_rng(0)
    places, radii = draw.uniform(0, 40, (6000, 3)), np.full(6000, 0.66)
    monkeypatch.setattr(molecules, "MOST_PAIRS", 2_500_000)
    without, whole = molecules.near(places, radii)
    radii[17] = 1.66

    found, still = molecules.near(places, radii)

    assert (
        whole
        and still
        and {tuple(sorted(pair)) for pair in without.tolist()} <= {tuple(sorted(pair)) for pair in found.tolist()}
    )


@pytest.mark.parametrize(
    ("name", "residue", "element"),
    [("SOD", "SOD", "Na"), ("CL1", "LIG", "CL"), ("CA", "GLY", "C"), ("CA", "CA", "CA"), ("OW", "SOL", "O")],
)
def test_an_element_is_told_by_names(name, residue, element):
    assert records._element(name, residue) == element


def test_a_title_may_hold_what_ends_a_page(told):
    assert told(WATER.replace("water", "wa\x0cter", 1), "a.sdf")["atoms"] == 3


def test_a_crowd_of_atoms_ends_the_search(monkeypatch):
    monkeypatch.setattr(molecules, "MOST_PAIRS", 1000)

    found, whole = molecules.near(np.zeros((200, 3)), np.ones(200))

    assert not whole and len(found) == 0
