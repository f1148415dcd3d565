"""The Helm chart installs what `kubectl apply -k` installs.

Each chart value changes exactly the field that it is documented to change.
"""

import copy
import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.helm import CHART, NAMESPACE, RELEASE, Values, helm, helm_program, render
from tests.support.manifests import CONFIG, Manifest, build, named, of_kind, pod_specs

pytestmark = pytest.mark.skipif(
    helm_program() is None, reason="there is no helm: install one, or run hack/kubectl.py helm"
)

Objects = dict[tuple[str, str | None, str], Manifest]  # by kind, namespace and name

VERSION = tomllib.loads((CONFIG.parent / "pyproject.toml").read_text())["project"]["version"]
HELMS_OWN_LABELS = (
    "helm.sh/chart",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
)
REPOSITORY = "registry.example.com:5000/ops/configmapsync"
KEEP = "helm.sh/resource-policy"
EVERYTHING = {
    name: {"enabled": True}
    for name in ("serviceMonitor", "prometheusRule", "dashboard", "networkPolicy")
}
PODS = ["reconciler", "webhook", "certs"]
SPOTS = {  # a pod value of the chart: an example, and the change of the pod that it must cause
    "nodeSelector": ({"disk": "ssd"}, lambda pod, value: pod["spec"].update(nodeSelector=value)),
    "tolerations": (
        [{"key": "infra", "operator": "Exists"}],
        lambda pod, value: pod["spec"].update(tolerations=value),
    ),
    "affinity": (
        {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}
            }
        },
        lambda pod, value: pod["spec"].update(affinity=value),
    ),
    "resources": (
        {"limits": {"memory": "1Gi"}},
        lambda pod, value: _container(pod).update(resources=value),
    ),
    "extraArgs": (["--log-level=debug"], lambda pod, value: _container(pod)["args"].extend(value)),
    "extraEnv": (
        [{"name": "TZ", "value": "UTC"}],
        lambda pod, value: _container(pod).update(env=[*_container(pod).get("env", []), *value]),
    ),
    "podLabels": ({"team": "platform"}, lambda pod, value: pod["metadata"]["labels"].update(value)),
    "podAnnotations": (
        {"checked": "true"},
        lambda pod, value: pod["metadata"].setdefault("annotations", {}).update(value),
    ),
}


def as_kustomize_has_them(rendered: Iterable[Manifest]) -> Objects:
    """Return the objects without Helm's labels, keep annotation and Job revision suffix."""
    found = {}
    for manifest in copy.deepcopy(list(rendered)):
        metadata = manifest["metadata"]
        for label in HELMS_OWN_LABELS:
            del metadata["labels"][label]
        if metadata.get("annotations", {}).pop(KEEP, None) and not metadata["annotations"]:
            del metadata["annotations"]
        if manifest["kind"] == "Job":
            metadata["name"] = metadata["name"].removesuffix("-1")
        found[_identity(manifest)] = manifest
    return found


def without_the_namespace(built: Iterable[Manifest]) -> Objects:
    """Return the objects without the namespace, which the user of a chart creates."""
    return {_identity(manifest): manifest for manifest in built if manifest["kind"] != "Namespace"}


@pytest.fixture
def kustomize(tmp_path: Path) -> Callable[..., Objects]:
    """Build config/default after edits: other names, and optional lines uncommented."""

    def kustomize(prefix: str, namespace: str, *options: str) -> Objects:
        config = shutil.copytree(CONFIG, tmp_path / "config")
        file = config / "default" / "kustomization.yaml"
        text = (
            file.read_text()
            .replace("configmapsync-system\n", f"{namespace}\n")
            .replace("configmapsync-\n", f"{prefix}\n")
        )
        for option in options:
            assert f"#- {option}\n" in text
            text = text.replace(f"#- {option}\n", f"- {option}\n")
        file.write_text(text)
        return without_the_namespace(build(file.parent))

    return kustomize


def test_the_default_values_render_what_kustomize_applies(tmp_path: Path) -> None:
    assert as_kustomize_has_them(render(tmp_path)) == without_the_namespace(build())


@pytest.mark.parametrize("release", ["acme-configmapsync", "acme"])
def test_another_release_in_another_namespace_is_what_kustomize_applies_under_those_names(
    tmp_path: Path, kustomize: Callable[..., Any], release: str
) -> None:
    rendered = render(tmp_path, EVERYTHING, release, "tools")

    assert as_kustomize_has_them(rendered) == kustomize(
        "acme-configmapsync-", "tools", "../prometheus", "../network-policy"
    )


def test_with_cert_manager_it_is_what_kustomize_applies_with_cert_manager(tmp_path: Path) -> None:
    rendered = render(tmp_path, {"certManager": {"enabled": True}})

    assert as_kustomize_has_them(rendered) == without_the_namespace(
        build(CONFIG / "overlays" / "cert-manager")
    )


def test_with_namespaces_copies_may_be_written_there_alone(tmp_path: Path) -> None:
    rendered = render(tmp_path, {"namespaces": ["web", "checkout"]})

    assert as_kustomize_has_them(rendered) == without_the_namespace(
        build(CONFIG / "overlays" / "namespaces")
    )


def test_with_cert_manager_another_name_is_followed_everywhere(tmp_path: Path) -> None:
    values = {"certManager": {"enabled": True}, "fullnameOverride": "acme"}
    rendered = render(tmp_path, values, namespace="tools")

    certificates = of_kind(rendered, "Certificate")
    issuers = {issuer["metadata"]["name"] for issuer in of_kind(rendered, "Issuer")}
    assert {certificate["spec"]["issuerRef"]["name"] for certificate in certificates} == issuers
    serving = named(rendered, "Certificate", "acme-webhook")
    assert serving["spec"]["dnsNames"] == [
        "acme-webhook.tools.svc",
        "acme-webhook.tools.svc.cluster.local",
    ]
    [volume] = named(rendered, "Deployment", "acme-webhook")["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["secretName"] == serving["spec"]["secretName"]
    injected = {
        manifest["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
        for manifest in of_kind(
            rendered, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
        )
    }
    assert injected == {"tools/acme-webhook"}


@pytest.mark.parametrize("component", PODS)
@pytest.mark.parametrize("spot", SPOTS)
def test_a_value_of_a_pod_changes_only_that_field_of_that_pod(
    tmp_path: Path, component: str, spot: str
) -> None:
    value, put = SPOTS[spot]

    rendered = as_kustomize_has_them(render(tmp_path, {component: {spot: value}}))

    expected = without_the_namespace(build())
    changed = [
        template
        for template in map(_pod_template, expected.values())
        if template and _belongs(template, component)
    ]
    assert changed
    for template in changed:
        if spot == "resources":  # Helm merges mappings: keys that are not named stay
            value = {
                **_container(template)["resources"],
                "limits": {**_container(template)["resources"]["limits"], **value["limits"]},
            }
        put(template, value)
    assert rendered == expected


@pytest.mark.parametrize("component", ["reconciler", "webhook"])
def test_replicas_are_those_of_one_deployment(tmp_path: Path, component: str) -> None:
    rendered = as_kustomize_has_them(render(tmp_path, {component: {"replicas": 5}}))

    expected = without_the_namespace(build())
    expected["Deployment", NAMESPACE, f"configmapsync-{component}"]["spec"]["replicas"] = 5
    assert rendered == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"repository": REPOSITORY}, f"{REPOSITORY}:{VERSION}"),
        ({"tag": "0.2.0-rc.1"}, "configmapsync:0.2.0-rc.1"),
        ({"digest": f"sha256:{'a' * 64}"}, f"configmapsync:{VERSION}@sha256:{'a' * 64}"),
    ],
)  # fmt: skip
def test_the_image_is_the_same_in_every_pod(tmp_path: Path, image: Values, expected: str) -> None:
    values = {
        "image": {**image, "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "registry"}],
    }

    pods = dict(pod_specs(render(tmp_path, values)))

    assert len(pods) == 4
    for pod in pods.values():
        [container] = pod["containers"]
        assert (container["image"], container["imagePullPolicy"]) == (expected, "Always")
        assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_prometheus_may_choose_by_labels(tmp_path: Path) -> None:
    labels = {"release": "kube-prometheus-stack"}
    values = {
        name: {"enabled": True, "labels": labels} for name in ("serviceMonitor", "prometheusRule")
    }

    chosen = of_kind(render(tmp_path, values), "ServiceMonitor", "PrometheusRule")

    assert len(chosen) == 2
    assert all(labels.items() <= manifest["metadata"]["labels"].items() for manifest in chosen)


def test_the_crd_is_upgraded_with_the_release_and_outlives_it(tmp_path: Path) -> None:
    [crd] = of_kind(render(tmp_path), "CustomResourceDefinition")
    [to_go] = of_kind(render(tmp_path, {"crds": {"keep": False}}), "CustomResourceDefinition")

    assert not (CHART / "crds").exists()  # Helm never upgrades the files of that folder
    assert crd["metadata"]["annotations"][KEEP] == "keep"
    assert KEEP not in to_go["metadata"].get("annotations", {})
    assert of_kind(render(tmp_path, {"crds": {"enabled": False}}), "CustomResourceDefinition") == []


def test_a_namespace_that_reads_like_a_number_stays_a_name(tmp_path: Path) -> None:
    namespaces = {
        m["metadata"].get("namespace", "2026")
        for m in render(tmp_path, EVERYTHING, namespace="2026")
    }

    assert namespaces == {"2026"}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"replicas": 2}, "additional properties 'replicas' not allowed"),
        ({"reconciler": {"replica": 2}}, "'/reconciler': additional properties 'replica'"),
        ({"reconciler": {"replicas": "two"}}, "'/reconciler/replicas'"),
        ({"reconciler": {"replicas": 0}}, "'/reconciler/replicas'"),
        ({"certs": {"replicas": 2}}, "'/certs'"),
        ({"webhook": {"extraArgs": "--log-level=debug"}}, "'/webhook/extraArgs'"),
        ({"webhook": {"extraArgs": ["log-level"]}}, "'/webhook/extraArgs/0'"),
        (
            {"webhook": {"resources": {"limits": {"memory": "lots"}}}},
            "'/webhook/resources/limits/memory'",
        ),
        ({"image": {"repository": "registry.example.com/configmapsync:1"}}, "'/image/repository'"),
        ({"image": {"digest": "1234"}}, "'/image/digest'"),
        ({"image": {"pullPolicy": "Sometimes"}}, "'/image/pullPolicy'"),
        ({"imagePullSecrets": ["registry"]}, "'/imagePullSecrets/0'"),
        ({"certManager": {"enabled": "yes"}}, "'/certManager/enabled'"),
        ({"namespaces": ["team-*"]}, "'/namespaces/0'"),
        ({"fullnameOverride": "Not_A_Name"}, "'/fullnameOverride'"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_its_path(
    tmp_path: Path, values: Values, complaint: str
) -> None:
    done = helm("template", RELEASE, CHART, home=tmp_path, values=values)

    assert done.returncode != 0
    assert complaint in done.stderr


def test_the_schema_and_the_default_values_name_the_same_things() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def names(properties: Values) -> Values:
        return {name: names(inner.get("properties", {})) for name, inner in properties.items()}

    def outline(values: object, schema_names: Values) -> Values:
        return (
            {name: outline(values[name], inner) for name, inner in schema_names.items()}
            if schema_names
            else {}
        )  # type: ignore[index]

    expected = names(
        {name: inner for name, inner in schema["properties"].items() if name != "global"}
    )
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert outline(values, expected) == expected
    assert {name: set(values[name]) for name in values if isinstance(values[name], dict)} == {
        name: set(expected[name]) for name in values if isinstance(values[name], dict)
    }


def test_it_has_the_version_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)


def test_helm_lint_finds_no_error(tmp_path: Path) -> None:
    done = helm("lint", "--strict", CHART, home=tmp_path)

    assert done.returncode == 0, done.stdout
    assert re.findall(r"\[(?:WARNING|ERROR)\].*", done.stdout) == []


def test_no_release_name_is_too_long_for_its_suffixes(tmp_path: Path) -> None:
    rendered = render(tmp_path, EVERYTHING, release="a" * 53)

    assert (
        max(
            len(manifest["metadata"]["name"])
            for manifest in of_kind(rendered, "Service", "CronJob")
        )
        <= 52
    )
    assert all(len(manifest["metadata"]["name"]) <= 63 for manifest in rendered)


def test_no_default_name_is_left_in_a_release_of_another_name(tmp_path: Path) -> None:
    text = json.dumps(
        render(tmp_path, {**EVERYTHING, "fullnameOverride": "acme"}, namespace="tools")
    )

    commands = {f"configmapsync-{component}" for component in PODS}
    jobs_of_prometheus = re.compile(
        r"configmapsync-(\$1|\(reconciler\|webhook\)|reconciler|webhook)"
    )
    chart = f"configmapsync-{VERSION}"
    left = set(re.findall(r"configmapsync-[\w$()|*.-]+", text)) - {*commands, chart}
    assert [name for name in left if not jobs_of_prometheus.fullmatch(name)] == []
    assert NAMESPACE not in text


def _identity(manifest: Manifest) -> tuple[str, str | None, str]:
    return manifest["kind"], manifest["metadata"].get("namespace"), manifest["metadata"]["name"]


def _pod_template(manifest: Manifest) -> Manifest | None:
    spec = manifest.get("spec", {})
    template: Manifest | None = (spec.get("jobTemplate", {}).get("spec") or spec).get("template")
    return template if manifest["kind"] in ("Deployment", "Job", "CronJob") else None


def _belongs(template: Manifest, component: str) -> bool:
    return bool(template["metadata"]["labels"]["app.kubernetes.io/component"] == component)


def _container(template: Manifest) -> Any:
    [container] = template["spec"]["containers"]
    return container
