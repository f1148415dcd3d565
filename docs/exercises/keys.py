"""What the small operator of exercise 2 caches of a ConfigMap."""

import msgspec

from kube.wire import ObjectMeta

LABEL = "exercise/keys"


class KeyCount(msgspec.Struct, frozen=True):
    """The number of keys of a ConfigMap, and the label that should show it."""

    namespace: str
    name: str
    resource_version: str
    keys: int
    label: str | None


class _ConfigMap(msgspec.Struct):
    metadata: ObjectMeta
    data: dict[str, msgspec.Raw] | None = None


_decoder = msgspec.json.Decoder(_ConfigMap)


def read_key_count(raw: msgspec.Raw) -> KeyCount:
    """Decode a ConfigMap."""
    configmap = _decoder.decode(raw)
    meta = configmap.metadata
    label = (meta.labels or {}).get(LABEL)
    keys = len(configmap.data or {})
    return KeyCount(meta.namespace, meta.name, meta.resource_version, keys, label)
