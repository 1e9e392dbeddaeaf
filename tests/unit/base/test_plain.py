"""Plain data and the way back: every ordinary type comes back exactly, and nothing else is let through unnamed."""

import argparse
import collections
import datetime
import decimal
import enum
import fractions
import math
import pathlib
import time
import types
import uuid
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fulgurite.base import rank
from fulgurite.base.attributes import AttributeDict
from fulgurite.base.plain import Notes, plain
from fulgurite.base.restore import restore


class Colour(enum.Enum):
    RED = "red"
    PAIR = (1, 2)
    CALL = print


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class Config:
    rate: float
    folder: pathlib.Path = pathlib.Path("data")
    layers: Any = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sealed:
    a: Any


class Settings(dict):
    pass


class Label(str):
    pass


@pytest.fixture(autouse=True)
def forget_warnings():
    rank._warned.clear()


def told(tree):
    notes = Notes()
    return plain(tree, notes, ("tree",)), notes


def there_and_back(tree):
    notes = Notes()
    data = plain({"tree": tree}, notes)
    assert not notes.strangers
    return restore(data, notes.types)["tree"]


def same(left, right):
    """Equal, of the same types all the way down, and alike where nothing equals itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        pairs = zip(left.items(), right.items(), strict=True)
        return len(left) == len(right) and all(same(a, b) and same(c, d) for (a, c), (b, d) in pairs)
    if isinstance(left, set | frozenset):
        return left == right and {type(item) for item in left} == {type(item) for item in right}
    return left == right


KEYS = st.one_of(
    st.text(max_size=5),
    st.integers(),
    st.none(),
    st.sampled_from([*Colour, Level.LOW, pathlib.Path("a"), pathlib.PurePosixPath("a"), "a", "red", 1, torch.float16]),
    st.tuples(st.sampled_from([*Colour, 1, "a"]), st.integers(0, 3)),
    st.frozensets(st.integers(0, 3), max_size=2),
    st.builds(Sealed, st.integers(0, 3)),
    st.datetimes(),
)
LEAVES = st.one_of(
    KEYS,
    st.floats(),
    st.binary(max_size=5),
    st.booleans(),
    st.complex_numbers(allow_nan=False),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.datetimes(timezones=st.just(datetime.timezone(datetime.timedelta(hours=2, seconds=5)))),
    st.builds(range, st.integers(-5, 5), st.integers(-5, 5), st.integers(1, 3)),
    st.builds(np.float32, st.floats(width=32, allow_nan=False)),
    st.builds(np.int16, st.integers(-9, 9)),
    st.builds(np.str_, st.text(max_size=3)),
    st.builds(Label, st.text(max_size=3)),
    st.just(2**5000),
    st.sampled_from(
        [torch.device("cpu"), torch.Size([2]), torch.channels_last, np.dtype(">f4"), np.datetime64("2020-01")]
    ),
)


def nests(children):
    dicts = st.dictionaries(KEYS, children, max_size=3)
    lists = st.lists(children, max_size=3)
    names = st.dictionaries(st.sampled_from(["a", "b", "c"]), children, max_size=3)
    return st.one_of(
        dicts,
        lists,
        lists.map(tuple),
        names.map(AttributeDict),
        names.map(lambda fields: argparse.Namespace(**fields)),
        names.map(lambda fields: types.SimpleNamespace(**fields)),
        dicts.map(collections.OrderedDict),
        dicts.map(lambda items: collections.defaultdict(list, items)),
        dicts.map(Settings),
        st.sets(KEYS, max_size=3),
        st.frozensets(KEYS, max_size=3),
        lists.map(lambda items: collections.deque(items, maxlen=5)),
        st.builds(Point, children, children),
        st.builds(Config, st.floats(allow_nan=False), st.just(pathlib.Path("x/y")), children),
        st.builds(Sealed, children),
    )


@settings(max_examples=150, deadline=None)
@given(st.recursive(LEAVES, nests, max_leaves=12))
def test_a_tree_of_ordinary_types_comes_back_exactly(tree):
    """Values, types, key order and nesting are what they were."""
    back = there_and_back(tree)

    assert same(back, tree)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(3),
        np.arange(6.0)[::-2],
        np.arange(6, dtype=">u2").reshape(2, 3).T,
        np.array(1.5),
        np.zeros((0, 3), "f4"),
        np.array(["a", "bc"]),
        np.array([[b"a"]]),
        np.array(["2020-01-01", "NaT"], "M8[h]"),
        np.array([True]),
        np.array([1 + 2j], "c8"),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_comes_back_with_its_dtype_and_shape(array):
    """Whatever the byte order, the strides and the size."""
    back = there_and_back(array)

    assert back.dtype == array.dtype and back.shape == array.shape
    np.testing.assert_array_equal(back, array)


def test_what_is_plain_already_is_not_copied():
    """Native values go in as they are, so shared lists and tensors stay shared."""
    shared = [torch.ones(2), {"a": (1, "b")}]
    tree = {"one": shared, "two": shared, "order": collections.OrderedDict(a=1), "set": {1, 2}}

    data, notes = told(tree)

    assert data is tree and notes.types == []


def test_keys_that_would_collide_are_kept_apart():
    """A path and a string of the same letters are two keys before and after."""
    tree = {pathlib.Path("a"): 1, "a": Colour.RED, float("nan"): 2}

    back = there_and_back(tree)

    assert list(back.values()) == [1, Colour.RED, 2]
    assert list(back)[:2] == [pathlib.Path("a"), "a"]


def test_lightning_sees_plain_values():
    """Whoever does not know our notes reads strings, numbers and dicts."""
    data, _ = told(
        {
            "path": pathlib.Path("a/b"),
            "space": argparse.Namespace(lr=np.float64(0.1)),
            "colour": Colour.RED,
            "unnameable": Colour.CALL,
            "config": Config(0.5),
            "point": Point(1, Colour.PAIR),
            "wait": datetime.timedelta(minutes=1),
            "id": uuid.UUID(int=1),
            "third": fractions.Fraction(1, 3),
            "price": decimal.Decimal("1.10"),
            Colour.RED: range(2),
        }
    )

    assert data == {
        "path": "a/b",
        "space": {"lr": 0.1},
        "colour": "red",
        "unnameable": "CALL",
        "config": {"rate": 0.5, "folder": "data", "layers": []},
        "point": (1, (1, 2)),
        "wait": 60.0,
        "id": "00000000-0000-0000-0000-000000000001",
        "third": "1/3",
        "price": "1.10",
        "red": [0, 1],
    }
    assert type(data["space"]["lr"]) is float and type(data["point"]) is tuple


def test_a_class_that_is_gone_leaves_its_plain_value(monkeypatch):
    """Nothing is imported to find it; one warning names it."""
    notes = Notes()
    data = plain({"a": [Colour.RED, Colour.RED], "b": Config(1.0), "c": Point(1, 2)}, notes)
    for name in ("Colour", "Config", "Point"):
        monkeypatch.delitem(globals(), name)

    with pytest.warns(UserWarning) as said:
        back = restore(data, notes.types)

    messages = " ".join(str(warning.message) for warning in said)
    assert all(name in messages for name in ("Colour", "Config", "Point"))
    assert back["a"] == ["red", "red"] and back["b"]["rate"] == 1.0 and back["c"] == (1, 2)


def test_a_dataclass_with_other_fields_is_not_forced():
    """A file from before a field was added comes back as a dict, not as half an object."""
    notes = Notes()
    data = plain({"c": Config(1.0)}, notes)
    del data["c"]["layers"]

    with pytest.warns(UserWarning, match="Config"):
        back = restore(data, notes.types)

    assert type(back["c"]) is dict


def test_coming_back_runs_no_code_of_the_class():
    """No ``__init__``, ``__post_init__``, ``__new__``, ``__setattr__`` or ``_missing_``."""
    value = Loud.__new__(Loud)
    object.__setattr__(value, "a", pathlib.Path("x"))

    assert there_and_back(value).a == pathlib.Path("x")


@dataclass
class Loud:
    a: Any

    def __post_init__(self):
        raise AssertionError("ran")

    def __setattr__(self, name, value):
        raise AssertionError("ran")


@pytest.mark.parametrize(
    "code",
    [
        ["enum", "os:system", "x"],
        ["enum", "builtins:int", "real"],
        ["dataclass", "subprocess:Popen"],
        ["subclass", "builtins:bool"],
        ["subclass", "nowhere:Class"],
        ["numpy.dtype"],
        ["no such code"],
        ["defaultdict", "exec"],
        [],
        None,
    ],
)
def test_a_forged_code_does_nothing(code):
    """The list of types is part of the file and not to be trusted: the plain value stays."""
    with pytest.warns(UserWarning):
        assert restore({"a": "O"}, [[("a",), code]]) == {"a": "O"}


@pytest.mark.parametrize(
    ("value", "codes"),
    [
        ("1e30000000", [["fraction"]]),
        ("1", [["fraction", "1e30000000", 1]]),
        ("1", [["range", 0, 10**12], ["set"]]),
        ("1", [["range", 0, 10**12], ["deque", None]]),
        ("1", [["range", 0, 10**12], ["numpy.array", "S1", [1]]]),
        ("1", [["range", 0, 10**12], ["numpy.scalar", "M8[s]"]]),
        (["a"], [["numpy.array", "U500000000", [1]]]),
        (10**11, [["numpy.scalar", "S1"]]),
        (torch.zeros(1).expand(10**12), [["numpy.array", "f4", [10**12]]]),
        (torch.zeros(1).expand(10**12), [["numpy.array", ">f4", [10**12]]]),
    ],
)
def test_a_forged_code_cannot_ask_for_much(value, codes):
    """What a few bytes would make large is refused; the last plain value stays."""
    begun = time.perf_counter()

    with pytest.warns(UserWarning, match="cannot be brought back"):
        back = restore({"a": value}, [[("a",), code] for code in codes])["a"]

    assert type(back) in (type(value), range)
    assert time.perf_counter() - begun < 5


def test_places_that_are_gone_are_passed_by():
    """A script that took keys out of the file does not break it."""
    notes = Notes()
    data = plain({"a": pathlib.Path("x"), "b": [Colour.RED]}, notes)
    del data["a"]
    data["b"] = []

    assert restore(data, notes.types) == {"b": []}


def test_strangers_stay_and_are_named():
    """Outside hyperparameters nothing is lost: the object stays as it is, and the notes say where."""
    net = torch.nn.Linear(1, 1)

    data, notes = told({"mine": [net, pathlib.Path("a")]})

    assert data["mine"][0] is net and data["mine"][1] == "a"
    assert notes.strangers == [(("tree", "mine", 0), "a torch.nn.modules.linear.Linear")]


def test_strangers_among_hyperparameters_are_left_out_by_key():
    """The nearest dictionary entry goes; its neighbours stay, and no type is noted for what went."""
    notes = Notes()
    tree = {"net": torch.nn.Linear(1, 1), "opt": {"act": print, "p": Colour.RED}, "list": [Colour.RED, print], "a": 1}

    data = plain(tree, notes, ("hp",), drop=True)

    assert data == {"opt": {"p": "red"}, "a": 1}
    assert [path for path, _ in notes.strangers] == [("hp", "net"), ("hp", "opt", "act"), ("hp", "list", 1)]
    assert [path for path, _ in notes.types] == [["hp", "opt", "p"]]


def test_what_cannot_come_back_as_its_class_is_noted():
    """A combination of flags or a class with a state of its own goes in as plain data, and that is said."""
    data, notes = told({"flags": Flags.A | Flags.B, "zone": Labelled("x")})

    assert data == {"flags": 3, "zone": "x"}
    assert len(notes.lossy) == 2


class Labelled(str):
    def __init__(self, text):
        self.extra = 1


def test_a_registered_class_is_no_stranger():
    """What the user named to torch as safe is stored as it is."""
    value = Opaque()

    with torch.serialization.safe_globals([Opaque]):
        data, notes = told({"a": value})

    assert data["a"] is value and not notes.strangers


class Opaque:
    pass


def test_a_collection_that_holds_itself_is_a_stranger():
    """It ends, and is named."""
    loop: list[Any] = [Colour.RED]
    loop.append(loop)

    _, notes = told({"loop": loop})

    assert [path for path, _ in notes.strangers] == [("tree", "loop", 1)]
