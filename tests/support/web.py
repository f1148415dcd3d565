"""Send plain blocking HTTP requests to a cluster, without the code under test."""

import http.client
import json
import ssl
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30.0


class Answer(NamedTuple):
    """An HTTP answer; status 0 if the connection failed."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        """Return the decoded JSON body."""
        return json.loads(self.text)


class Web:
    """Requests to one server."""

    def __init__(self, url: str, authority: Path | None) -> None:
        """Keep the address; `authority` is the PEM file of an https server's CA."""
        parts = urlsplit(url)
        self._address = parts.netloc
        self._tls = (
            ssl.create_default_context(cafile=authority) if parts.scheme == "https" else None
        )

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Answer:
        """Send one request with `body` as JSON.

        A refused or broken connection is an answer with status 0.
        """
        headers = {"Accept": accept}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = content_type
        connection = self._connect()
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        except (OSError, http.client.HTTPException) as problem:
            return Answer(0, f"{type(problem).__name__}: {problem}")
        finally:
            connection.close()

    def request_until_closed(self, method: str, path: str, body: object, *, token: str) -> None:
        """Send one request with `body` as JSON, and wait until the server closes the connection.

        Raises:
            TimeoutError: it keeps the connection open.
        """
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection = self._connect()
        with closing(connection), suppress(ConnectionError, ssl.SSLError):
            connection.request(method, path, json.dumps(body), headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read().decode()
            answer.read()
            assert connection.sock.recv(1) == b""

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._address, timeout=TIMEOUT_SECONDS)
        return http.client.HTTPSConnection(
            self._address, timeout=TIMEOUT_SECONDS, context=self._tls
        )
