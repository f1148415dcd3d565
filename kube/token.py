"""An `Authorization` header that may change while we run.

A kubelet replaces a service account's token, an exec plugin's expires: so it is loaded again when it has grown old, and at once after the server
has refused it. What cannot be loaded for a moment is no reason to stop: the one at hand may still be good. How it is loaded is decided by
`credentials.py` and `kubeconfig.py`; `connection.py` is the only user.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

RELOAD_AFTER = 60.0  # seconds; a kubelet replaces a token well before the old one expires
LOADED_WITHIN = 20.0  # seconds; an exec plugin may have to ask somebody

# Loads the header; True says that the server refused the one at hand. None means that there is no other.
Load = Callable[[bool], Awaitable[str | None]]


class Token:
    """The header as it was last loaded."""

    def __init__(self, value: str, load: Load) -> None:
        self._value = _clean(value)
        self._load = load
        self._loaded_at = asyncio.get_running_loop().time()
        self._loading = asyncio.Lock()
        self._loads = 0  # because of a refusal, and ended
        self._log = structlog.get_logger("token")

    async def value(self) -> str:
        """What to send."""
        if self._age() >= RELOAD_AFTER:
            async with self._loading:
                if self._age() >= RELOAD_AFTER:
                    await self._reload(refused=False)
        return self._value

    async def after_refusal_of(self, refused: str) -> str:
        """What to send instead of `refused`; the same, where there is no other. However many ask at a time, it is loaded once."""
        loads = self._loads  # one that others wait for now is as good as one of our own
        async with self._loading:
            if self._value == refused and self._loads == loads:
                await self._reload(refused=True)
                self._loads += 1
        return self._value

    def _age(self) -> float:
        return asyncio.get_running_loop().time() - self._loaded_at

    async def _reload(self, *, refused: bool) -> None:
        self._loaded_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(LOADED_WITHIN):
                loaded = await self._load(refused)
        except Exception as error:  # noqa: BLE001 - a plugin may fail in any way; should the old token be no good, the 401 says so
            self._log.warning(
                "the token cannot be loaded again, the old one is kept", error=type(error).__name__
            )
            return
        if loaded:
            self._value = _clean(loaded)


def _clean(text: str) -> str:
    """Files of tokens end with a newline, and a header with one is refused."""
    return text.strip()
