"""The secret that signs addresses: made once, whole from the start, and for nobody else's eyes."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from fulgurite.track.server.secret import SIZE, secret_of
from fulgurite.track.store.errors import StoreError


def test_all_who_start_at_once_have_the_same(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(secret_of, [tmp_path] * 64))

    assert len(found) == 1 and len(found.pop()) == SIZE
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_only_its_owner_reads_it(tmp_path):
    secret_of(tmp_path)

    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_a_damaged_one_is_not_used(tmp_path):
    """With an empty secret anybody could sign."""
    (tmp_path / "secret").write_bytes(b"")

    with pytest.raises(StoreError, match="holds 0"):
        secret_of(tmp_path)
