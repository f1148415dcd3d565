"""Confirm that a stored copy has the content that was written.

The answer to a write has metadata only, so `caches.py` asks this module about the watch
event. An admission webhook can change the content on its way into the storage. The
copies of one source follow each other with equal bytes, so that the digest is computed
once for all of them.
"""

from contextlib import suppress

import msgspec

from configmapsync.copies import CopyRecord
from kube.errors import Malformed
from kube.wire import decoding
from reconciler.known.configmaps import WHAT, read_copy


class _Content(msgspec.Struct, rename="camel"):
    data: msgspec.Raw = msgspec.Raw(b"null")
    binary_data: msgspec.Raw = msgspec.Raw(b"null")
    immutable: bool | None = None


class WrittenContent:
    """Compares the content of copies with their records."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Content).decode
        self._last: tuple[bytes, bytes, bool] | None = None  # the last content, in JSON
        self._last_digest = ""

    def confirms(self, record: CopyRecord, raw: msgspec.Raw) -> bool:
        """Return whether an object has the content that its record of the same version says."""
        with suppress(Malformed), decoding(WHAT):
            stored = self._decode(raw)
            content = (bytes(stored.data), bytes(stored.binary_data), bool(stored.immutable))
            if content != self._last:
                self._last_digest = read_copy(raw).digest
                self._last = content
            return self._last_digest == record.digest
        return False
