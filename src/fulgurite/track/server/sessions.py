"""A browser's session: a signed cookie that names the user, so that the key itself need not be sent again."""

import base64
import binascii
import hashlib
import hmac
import json
import time

LIFE = 30 * 86_400  # seconds


class Sessions:
    """Cookies of one store, signed with its secret. Servers on several ports of a machine don't share them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hmac.digest(secret, b"session", hashlib.sha256)
        self.cookie = "fulgurite_" + hmac.digest(secret, b"cookie", hashlib.sha256).hex()[:8]

    def opened(self, user: int) -> str:
        """The cookie's value for a user who has shown a key."""
        body = base64.urlsafe_b64encode(json.dumps([user, time.time() + LIFE]).encode()).decode()
        return f"{body}.{self._signature(body)}"

    def user(self, value: str) -> int | None:
        """The number of the user whose cookie that is; None if it was not made here or is too old."""
        body, _, signature = value.partition(".")
        if not hmac.compare_digest(self._signature(body).encode(), signature.encode("utf-8", "replace")):
            return None
        try:
            user, until = json.loads(base64.urlsafe_b64decode(body))
        except (binascii.Error, ValueError):
            return None
        return int(user) if until > time.time() else None

    def _signature(self, body: str) -> str:
        return hmac.new(self._secret, body.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
