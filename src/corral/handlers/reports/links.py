"""Links to documents: signed, and over after a while."""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from urllib.parse import urlencode

#: A document's id, and the name of its file.
ID = re.compile(r"[0-9a-f]{40}")
_NUMBER = re.compile(r"[0-9]{1,12}")


class Links:
    """Makes and checks links. The first secret signs, every one is accepted, so that a secret can be changed."""

    def __init__(self, secrets: Sequence[str], base_url: str) -> None:
        self._keys = tuple(hashlib.sha256(b"corral report link\n" + secret.encode()).digest() for secret in secrets)
        self._base_url = base_url.rstrip("/")

    def __repr__(self) -> str:
        return f"<Links to {self._base_url}>"

    def make(self, id: str, expires_at: int) -> str:
        """A link that holds until `expires_at`, in milliseconds since the epoch."""
        expires = str(expires_at // 1000)
        query = urlencode({"expires": expires, "signature": _sign(self._keys[0], id, expires)})
        return f"{self._base_url}/{id}?{query}"

    def holds(self, id: str, expires: str, signature: str, now: int) -> bool | None:
        """Whether a link is ours and not over; None when it is ours and over. Takes as long for any signature."""
        if not (ID.fullmatch(id) and _NUMBER.fullmatch(expires)):
            return False
        known = [hmac.compare_digest(_sign(key, id, expires), signature) for key in self._keys if signature.isascii()]
        if not any(known):
            return False
        return True if now // 1000 <= int(expires) else None


def _sign(key: bytes, id: str, expires: str) -> str:
    digest = hmac.digest(key, f"{id}\n{expires}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
