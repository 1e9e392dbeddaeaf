"""Users and their keys: shown once, kept as a hash, revoked for good."""

import re

import pytest

from fulgurite.track.store.errors import NotFound, StoreError


def test_a_key_has_the_form_that_the_client_takes(store):
    """Letters, digits, `_` and `-`, and at least 40 of them after the first word."""
    key = store.users.add("ada", "writer")

    assert re.fullmatch(r"[\w-]+", key)
    assert len(key.partition("-")[2]) >= 40
    assert key != store.users.add("bob", "writer")


def test_a_key_finds_its_user(store):
    keys = {name: store.users.add(name, role) for name, role in [("ada", "writer"), ("rita", "reader")]}

    found = store.users.with_key(keys["rita"])

    assert found is not None and (found.name, found.role, found.may_write, found.may_manage) == (
        "rita",
        "reader",
        False,
        False,
    )
    for wrong in ("", keys["ada"][:-1], keys["ada"].upper(), "\ud800"):
        assert store.users.with_key(wrong) is None


def test_a_key_is_not_kept(store):
    """Neither in the database nor beside it."""
    key = store.users.add("ada", "writer")

    assert not [path for path in store.folder.rglob("*") if path.is_file() and key[10:].encode() in path.read_bytes()]


def test_a_revoked_key_is_worth_nothing_and_its_name_is_free(store):
    old = store.users.add("ada", "admin")
    number = store.users.all()[0].id

    store.users.revoke("ada")

    assert store.users.with_key(old) is None and store.users.by_id(number) is None
    assert store.users.with_key(store.users.add("ada", "reader")).id != number
    with pytest.raises(NotFound, match="Known: ada"):
        store.users.revoke("bob")


@pytest.mark.parametrize(
    ("name", "role", "said"), [("", "writer", "name"), ("a b", "writer", "name"), ("a", "god", "role")]
)
def test_what_can_be_no_user_is_told(store, name, role, said):
    with pytest.raises(StoreError, match=said):
        store.users.add(name, role)


def test_a_name_has_one_key(store):
    store.users.add("ada", "writer")

    with pytest.raises(StoreError, match="keys revoke ada"):
        store.users.add("ada", "admin")
