"""The examples in the documentation of three tools, and the copies they make.

`test_examples.py` checks the translation, and a journey applies it to a cluster. The
annotations are those of the tools' pages; the names and contents are of this project.
"""

from dataclasses import dataclass
from typing import Any

REFLECTOR = "reflector.v1.k8s.emberstack.com/"
REPLICATOR = "replicator.v1.mittwald.de/"
KUBED = "kubed.appscode.com/"

# Every namespace of the examples, with its labels.
NAMESPACES: dict[str, dict[str, str]] = {
    "central": {},
    "demo": {},
    "namespace-1": {},
    "namespace-2": {},
    "namespace-33": {},
    "namespace-x": {},
    "live": {"env": "production"},
    "my-ns-1": {},
    "my-ns-2": {},
    "app-ns-7": {},
    "app-ns-new": {},
    "labelled": {"my-label": "value", "my-other-label": "yes"},
    "labelled-foo": {"my-label": "value", "my-other-label": "foo"},
    "half-labelled": {"my-label": "value"},
    "other": {"app": "kubed"},
}
SYSTEM_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})


@dataclass(frozen=True)
class Example:
    """One example.

    Attributes:
        title: the page and the example on it.
        objects: what the page applies.
        source: the ConfigMap that is copied, as namespace and name.
        name: of the copies.
        copies: the namespaces in which the tool makes copies.
        lost: whether the page has something that no sync expresses.
        system: whether the tool copies to the namespaces of Kubernetes, too.
    """

    title: str
    objects: list[dict[str, Any]]
    source: tuple[str, str]
    name: str
    copies: frozenset[str]
    lost: bool = False
    system: bool = False


def configmap(
    namespace: str, name: str, annotations: dict[str, str], data: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return a ConfigMap with annotations; a pulling one has no data."""
    metadata = {"namespace": namespace, "name": name, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {}}


def _source(name: str, annotations: dict[str, str], namespace: str = "central") -> dict[str, Any]:
    return configmap(namespace, name, annotations, {"key": f"value of {name}"})


EXAMPLES = [
    Example(
        "reflector: a source, and a mirror that a user created",
        [
            _source(
                "source-config-map",
                {
                    f"{REFLECTOR}reflection-allowed": "true",
                    f"{REFLECTOR}reflection-allowed-namespaces": "namespace-1,namespace-2,namespace-[0-9]*",
                    f"{REFLECTOR}reflection-allowed-namespaces-selector": "env=production",
                },
            ),
            configmap(
                "namespace-33",
                "mirror-config-map",
                {f"{REFLECTOR}reflects": "central/source-config-map"},
            ),
        ],
        ("central", "source-config-map"),
        "mirror-config-map",
        frozenset({"namespace-33"}),
    ),
    Example(
        "reflector: automatic mirrors",
        [
            _source(
                "auto-config-map",
                {
                    f"{REFLECTOR}reflection-allowed": "true",
                    f"{REFLECTOR}reflection-allowed-namespaces": "namespace-1,namespace-2,namespace-[0-9]*",
                    f"{REFLECTOR}reflection-allowed-namespaces-selector": "env=production",
                    f"{REFLECTOR}reflection-auto-enabled": "true",
                },
            )
        ],
        ("central", "auto-config-map"),
        "auto-config-map",
        frozenset({"namespace-1", "namespace-2", "namespace-33", "live"}),
        lost=True,
    ),
    Example(
        "reflector: automatic mirrors in some of the permitted namespaces",
        [
            _source(
                "narrow-config-map",
                {
                    f"{REFLECTOR}reflection-allowed": "true",
                    f"{REFLECTOR}reflection-allowed-namespaces": "namespace-.*",
                    f"{REFLECTOR}reflection-auto-enabled": "true",
                    f"{REFLECTOR}reflection-auto-namespaces": "namespace-1,namespace-x,other",
                },
            )
        ],
        ("central", "narrow-config-map"),
        "narrow-config-map",
        frozenset({"namespace-1", "namespace-x"}),
    ),
    Example(
        "reflector: automatic mirrors in all namespaces",
        [
            _source(
                "wide-config-map",
                {
                    f"{REFLECTOR}reflection-allowed": "true",
                    f"{REFLECTOR}reflection-allowed-namespaces": "",
                    f"{REFLECTOR}reflection-auto-enabled": "true",
                },
            )
        ],
        ("central", "wide-config-map"),
        "wide-config-map",
        frozenset(NAMESPACES) - {"central"},
        system=True,
    ),
    Example(
        "replicator: push by name",
        [_source("by-name", {f"{REPLICATOR}replicate-to": "namespace-1,my-ns-2,app-ns-[0-9]*"})],
        ("central", "by-name"),
        "by-name",
        frozenset({"namespace-1", "my-ns-2", "app-ns-7"}),
        lost=True,
    ),
    Example(
        "replicator: push by name, the YAML example",
        [_source("test-config", {f"{REPLICATOR}replicate-to": "my-ns-1,namespace-[0-9]*"})],
        ("central", "test-config"),
        "test-config",
        frozenset({"my-ns-1", "namespace-1", "namespace-2", "namespace-33"}),
        lost=True,
    ),
    Example(
        "replicator: push by label",
        [
            _source(
                "by-label",
                {
                    f"{REPLICATOR}replicate-to-matching": "my-label=value,my-other-label,"
                    "my-other-label notin (foo,bar)\n"
                },
            )
        ],
        ("central", "by-label"),
        "by-label",
        frozenset({"labelled"}),
    ),
    Example(
        "replicator: push by name and by label together",
        [
            _source(
                "both-ways",
                {
                    f"{REPLICATOR}replicate-to": "my-ns-1",
                    f"{REPLICATOR}replicate-to-matching": "app=kubed",
                    f"{REPLICATOR}strip-labels": "true",
                },
            )
        ],
        ("central", "both-ways"),
        "both-ways",
        frozenset({"my-ns-1", "other"}),
    ),
    Example(
        "replicator: pull",
        [
            _source(
                "some-config",
                {
                    f"{REPLICATOR}replication-allowed": "true",
                    f"{REPLICATOR}replication-allowed-namespaces": "my-ns-1,namespace-[0-9]*",
                },
            ),
            configmap(
                "namespace-2",
                "config-replica",
                {f"{REPLICATOR}replicate-from": "central/some-config"},
            ),
            configmap(
                "other", "config-replica", {f"{REPLICATOR}replicate-from": "central/some-config"}
            ),
        ],
        ("central", "some-config"),
        "config-replica",
        frozenset({"namespace-2"}),  # the source does not permit the other one
    ),
    Example(
        "config-syncer: all namespaces",
        [_source("omni", {f"{KUBED}sync": ""}, "demo")],
        ("demo", "omni"),
        "omni",
        frozenset(NAMESPACES) - {"demo"},
        system=True,
    ),
    Example(
        "config-syncer: a namespace selector",
        [_source("omni-some", {f"{KUBED}sync": "app=kubed"}, "demo")],
        ("demo", "omni-some"),
        "omni-some",
        frozenset({"other"}),
    ),
]
