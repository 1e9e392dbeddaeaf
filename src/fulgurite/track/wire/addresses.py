"""Addresses for uploads and downloads that nobody can guess, and that lose their worth with time.

The client sends no key with an upload, so the address itself is the permission: what may be done with which thing until
when, signed with the store's secret. Nothing is kept for it, and a restarted server still honours it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import time
from typing import Any

from fulgurite.track.store.errors import StoreError

LIFE = 86_400.0  # seconds


class Refused(StoreError):
    """An address was not made here, was changed, or is too old."""


class Addresses:
    """Signed addresses under ``base``, such as ``http://127.0.0.1:8080``; ``secret`` is the store's own."""

    def __init__(self, secret: bytes, base: str) -> None:
        self._secret = secret
        self._base = base.rstrip("/")

    def upload(self, **what: Any) -> str:
        """Where the content described by ``what`` can be put, for a day."""
        return f"{self._base}/upload/{self._signed({**what, 'may': 'put'})}"

    def download(self, sha256: str, name: str = "") -> str:
        """Where a content can be got, for a day; ``name`` is what a browser calls it."""
        return f"{self._base}/content/{self._signed({'sha256': sha256, 'name': name, 'may': 'get'})}"

    def opened(self, token: str, may: str) -> dict[str, Any]:
        """What an address stands for. Raises ``Refused``."""
        body, _, signature = token.partition(".")
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode("utf-8", "replace")):
            raise Refused("This address was not given out by this server, or it was changed.")
        try:
            what: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body))
        except (binascii.Error, ValueError) as error:
            raise Refused("This address can't be read.") from error
        if what.pop("may") != may or what.pop("until") < time.time():
            raise Refused("This address is no longer valid. Ask for a new one: the client does when it is run again.")
        return what

    def _signed(self, what: dict[str, Any]) -> str:
        text = json.dumps({**what, "until": time.time() + LIFE}, separators=(",", ":"))
        body = base64.urlsafe_b64encode(text.encode()).decode()
        return f"{body}.{self._signature(body)}"

    def _signature(self, body: str) -> str:
        return hmac.new(self._secret, body.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
