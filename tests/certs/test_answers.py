"""An unexpected answer, such as the page of a proxy, is a known error."""

from typing import Any

import pytest

from certs.material import Material
from certs.pods import ServicePods
from certs.secret_store import SecretStore
from certs.trust import Configuration, Trust
from kube.client import MUTATING_WEBHOOKS, Client
from kube.errors import Malformed

NO_SECRETS = (
    b"",
    b"<html>503</html>",
    b"[]",
    b"{}",
    b"\xff",
    b"[" * 100_000,
    b'{"metadata": null}',
    b'{"metadata": {"resourceVersion": "1", "labels": []}}',
    b'{"metadata": {"resourceVersion": "1"}, "data": {"ca.key": "%"}}',
)
NO_CONFIGURATIONS = (
    b"<html>503</html>",
    b"[]",
    b'{"webhooks": {}}',
    b'{"webhooks": [{}]}',
    b'{"webhooks": [{"clientConfig": {"caBundle": "%"}}]}',
    b'{"webhooks": [{"clientConfig": {"service": null}}]}',
)
NO_SLICES = (
    b"<html>503</html>",
    b"{}",
    b'{"items": [null]}',
    b'{"items": [{"endpoints": [{}]}]}',
    b'{"items": [{"ports": [{"name": 1}]}]}',
)


class Proxy:
    """Answers every request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def request(self, *_arguments: Any, **_options: Any) -> bytes:
        return self._answer


@pytest.mark.parametrize("answer", NO_SECRETS)
async def test_no_secret(answer: bytes) -> None:
    store = SecretStore(Client(Proxy(answer)), "system", "serving", "authority")  # type: ignore[arg-type]
    with pytest.raises(Malformed, match="the Secret system/authority cannot be decoded"):
        await store.load()


@pytest.mark.parametrize("answer", NO_CONFIGURATIONS)
async def test_no_webhook_configuration(answer: bytes) -> None:
    trust = Trust(Client(Proxy(answer)), (Configuration(MUTATING_WEBHOOKS, "ours"),))  # type: ignore[arg-type]
    with pytest.raises(Malformed, match=f"the {MUTATING_WEBHOOKS.plural}/ours cannot be decoded"):
        await trust.read()
    with pytest.raises(Malformed):
        await trust.publish_path(b"")


@pytest.mark.parametrize("answer", NO_SLICES)
async def test_no_endpoint_slices(answer: bytes) -> None:
    pods = ServicePods(Client(Proxy(answer)), "system", "webhook")  # type: ignore[arg-type]
    with pytest.raises(Malformed, match="the list of EndpointSlices cannot be decoded"):
        await pods.lagging(Material())
