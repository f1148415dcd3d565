"""Every kustomization of `config/` builds and is consistent.

Each also builds with another namespace and another name prefix.
"""

import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.manifests import (
    CONFIG,
    DEFAULT,
    Manifest,
    build,
    build_text,
    named,
    of_kind,
    pod_specs,
)

KUSTOMIZATIONS = sorted(path.parent for path in CONFIG.rglob("kustomization.yaml"))
INSTALLATIONS = [DEFAULT, *(path for path in KUSTOMIZATIONS if path.parent.name == "overlays")]
SAMPLES = CONFIG / "samples"
CLUSTER_SCOPED = {
    "Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding",
    "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
}  # fmt: skip
# Config/overlays/namespaces binds this role in the namespaces of other teams.
WHERE_COPIES_GO = "configmapsync-reconciler-copies"
OPTIONS = ("../prometheus", "../network-policy")
NAMES_TOLD = re.compile(
    r"^CONFIGMAPSYNC_(SERVICE|SECRET|MUTATING_CONFIGURATION|VALIDATING_CONFIGURATION)$"
)


def name_of(folder: Path) -> str:
    return str(folder.relative_to(CONFIG))


@pytest.fixture(params=INSTALLATIONS, ids=name_of)
def installation(request: pytest.FixtureRequest) -> list[Manifest]:
    return build(request.param)


@pytest.mark.parametrize("folder", KUSTOMIZATIONS, ids=name_of)
def test_it_builds_without_a_warning(folder: Path) -> None:
    assert build(folder)


def test_no_file_is_forgotten() -> None:
    """The nearest kustomization above each YAML file names it, or a page names a sample."""
    pages = " ".join(page.read_text() for page in (CONFIG.parent / "docs").rglob("*.md"))
    for file in CONFIG.rglob("*.yaml"):
        if SAMPLES in file.parents and file.parent != SAMPLES:
            assert str(file.relative_to(CONFIG.parent)) in pages, file
            continue
        folder = next(parent for parent in file.parents if parent in KUSTOMIZATIONS)
        named_here = (folder / "kustomization.yaml").read_text()
        assert file.name == "kustomization.yaml" or f"{file.relative_to(folder)}\n" in named_here, (
            file
        )


def test_every_object_is_in_one_namespace_and_labelled(
    installation: list[Manifest],
) -> None:
    for manifest in installation:
        kind, metadata = manifest["kind"], manifest["metadata"]
        expected = None if kind in CLUSTER_SCOPED else "configmapsync-system"
        if metadata["name"] != WHERE_COPIES_GO:
            assert metadata.get("namespace") == expected, (kind, metadata["name"])
        assert metadata["labels"]["app.kubernetes.io/name"] == "configmapsync", (
            kind,
            metadata["name"],
        )


def test_no_two_objects_are_the_same(installation: list[Manifest]) -> None:
    seen = [
        (m["kind"], m["metadata"].get("namespace"), m["metadata"]["name"]) for m in installation
    ]
    assert len(seen) == len(set(seen))


def test_the_selectors_find_the_pods_they_mean_and_no_others(installation: list[Manifest]) -> None:
    templates = {
        deployment["metadata"]["name"]: deployment["spec"]["template"]["metadata"]["labels"]
        for deployment in of_kind(installation, "Deployment")
    }
    selectors = [
        (m["metadata"]["name"], m["spec"]["selector"]) for m in of_kind(installation, "Service")
    ]
    selectors += [
        (m["metadata"]["name"], m["spec"]["selector"]["matchLabels"])
        for m in of_kind(installation, "Deployment", "PodDisruptionBudget")
    ]
    selectors += [
        (m["metadata"]["name"], constraint["labelSelector"]["matchLabels"])
        for m in of_kind(installation, "Deployment")
        for constraint in m["spec"]["template"]["spec"]["topologySpreadConstraints"]
    ]

    for name, selector in selectors:
        assert [
            found for found, labels in templates.items() if selector.items() <= labels.items()
        ] == [name]


def test_every_port_name_exists(installation: list[Manifest]) -> None:
    for name, pod in pod_specs(installation):
        [container] = pod["containers"]
        ports = {port["name"] for port in container.get("ports", ())}
        probes = [
            container[probe]["httpGet"]["port"]
            for probe in ("livenessProbe", "readinessProbe")
            if probe in container
        ]
        services = [
            s
            for s in of_kind(installation, "Service")
            if s["metadata"]["name"] == name.partition("/")[2]
        ]
        targets = [port["targetPort"] for service in services for port in service["spec"]["ports"]]
        assert {*probes, *targets} == ports


def test_the_webhook_mounts_the_secret_that_is_made_for_it(installation: list[Manifest]) -> None:
    pod = named(installation, "Deployment", "configmapsync-webhook")["spec"]["template"]["spec"]
    [volume] = pod["volumes"]
    made = {
        env["value"] for env in _environment(installation) if env["name"] == "CONFIGMAPSYNC_SECRET"
    }
    made |= {
        m["spec"]["secretName"]
        for m in of_kind(installation, "Certificate")
        if not m["spec"].get("isCA")
    }

    assert {volume["secret"]["secretName"]} == made


def test_the_certificate_is_for_the_service_and_trusted_by_both_configurations(
    installation: list[Manifest],
) -> None:
    service = named(installation, "Service", "configmapsync-webhook")["metadata"]
    for configuration in of_kind(
        installation, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
    ):
        client = configuration["webhooks"][0]["clientConfig"]["service"]
        assert (client["name"], client["namespace"]) == (service["name"], service["namespace"])
    if certificates := [
        c for c in of_kind(installation, "Certificate") if not c["spec"].get("isCA")
    ]:
        [certificate] = certificates
        host = f"{service['name']}.{service['namespace']}.svc"
        assert certificate["spec"]["dnsNames"] == [host, f"{host}.cluster.local"]
        place = f"{certificate['metadata']['namespace']}/{certificate['metadata']['name']}"
        configurations = of_kind(
            installation, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
        )
        assert {
            c["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] for c in configurations
        } == {place}
    else:
        named_to_the_tool = {
            env["value"] for env in _environment(installation) if NAMES_TOLD.match(env["name"])
        }
        assert named_to_the_tool == {"configmapsync-webhook"}


def test_a_right_to_one_object_uses_the_name_that_the_processes_use(
    installation: list[Manifest],
) -> None:
    narrowed = {name for rule in rules_of(installation) for name in rule.get("resourceNames", ())}
    names = {"configmapsync-reconciler", "configmapsync-webhook", "configmapsync-webhook-ca"}
    assert narrowed == names - missing_in(installation)


def rules_of(manifests: list[Manifest]) -> Iterator[dict[str, Any]]:
    for role in of_kind(manifests, "Role", "ClusterRole"):
        yield from role.get("rules", ())


def missing_in(installation: list[Manifest]) -> set[str]:
    """With cert-manager no account may read Secrets or write webhook configurations."""
    return (
        {"configmapsync-webhook", "configmapsync-webhook-ca"}
        if of_kind(installation, "Certificate")
        else set()
    )


def test_no_pod_mounts_the_secret_with_the_key_of_the_authority(
    installation: list[Manifest],
) -> None:
    kept = {
        env["value"]
        for env in _environment(installation)
        if env["name"] == "CONFIGMAPSYNC_CA_SECRET"
    }
    mounted = {
        volume["secret"]["secretName"]
        for _, pod in pod_specs(installation)
        for volume in pod.get("volumes", ())
    }
    assert kept == (
        {"configmapsync-webhook-ca"} if not of_kind(installation, "Certificate") else set()
    )
    assert kept.isdisjoint(mounted)


def test_the_webhook_path_is_set_only_where_the_certificate_tool_does_not_write_it(
    installation: list[Manifest],
) -> None:
    """A path in the manifests would replace the path with a token on each `kubectl apply`."""
    paths = [
        webhook["clientConfig"]["service"].get("path")
        for configuration in of_kind(
            installation, "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
        )
        for webhook in configuration["webhooks"]
    ]
    plain = [
        "/mutate-apps-nishaf-info-v1-configmapsync",
        "/validate-apps-nishaf-info-v1-configmapsync",
    ]
    assert paths == (plain if of_kind(installation, "Certificate") else [None, None])


def test_the_lease_bears_the_name_of_the_reconciler(installation: list[Manifest]) -> None:
    variables = {env["name"]: env.get("value") for env in _environment(installation)}
    assert variables["CONFIGMAPSYNC_LEADER_ELECTION_NAME"] == "configmapsync-reconciler"


def test_the_job_and_the_cron_job_run_the_same_pod() -> None:
    pods = [pod for name, pod in pod_specs(build()) if "certs" in name]
    assert len(pods) == 2
    assert pods[0] == pods[1]


def test_cert_manager_replaces_the_certificate_tool() -> None:
    overlay = build(CONFIG / "overlays" / "cert-manager")
    assert [name for name, _ in pod_specs(overlay)] == [
        "Deployment/configmapsync-reconciler",
        "Deployment/configmapsync-webhook",
    ]
    assert "certs" not in {
        m["metadata"]["labels"].get("app.kubernetes.io/component") for m in overlay
    }


def test_with_a_set_of_namespaces_the_roles_permit_no_other() -> None:
    overlay = build(CONFIG / "overlays" / "namespaces")
    assert WHERE_COPIES_GO not in {
        m["metadata"]["name"] for m in of_kind(overlay, "ClusterRoleBinding")
    }
    bindings = [
        m for m in of_kind(overlay, "RoleBinding") if m["metadata"]["name"] == WHERE_COPIES_GO
    ]
    assert {m["metadata"]["namespace"] for m in bindings} == {"web", "checkout"}
    [container] = named(overlay, "Deployment", "configmapsync-reconciler")["spec"]["template"][
        "spec"
    ]["containers"]
    assert container["args"][-1] == "--served-namespaces=web,checkout"
    account = {
        "kind": "ServiceAccount",
        "name": "configmapsync-reconciler",
        "namespace": "configmapsync-system",
    }
    assert all(
        m["roleRef"]["name"] == WHERE_COPIES_GO and m["subjects"] == [account] for m in bindings
    )


@pytest.fixture
def copied_config(tmp_path: Path) -> Path:
    """Return a copy of the folder that the test may edit."""
    return shutil.copytree(CONFIG, tmp_path / "config")


def edit_default(config: Path, *changes: tuple[str, str]) -> None:
    path = config / "default" / "kustomization.yaml"
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)


def overlaid(config: Path) -> Path:
    """Build an overlay on top of the installation, as a user would write it."""
    folder = config / "theirs"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {"namespace": "elsewhere", "namePrefix": "acme-", "resources": ["../default"]}
        )
    )
    return folder


def assert_follows(text: str, prefix: str) -> None:
    """Check that the former name and namespace appear only where they name no object."""
    # The programs in the image.
    allowed = {
        "configmapsync-reconciler",
        "configmapsync-webhook",
        "configmapsync-certs",
    }
    programs = {
        command
        for _, pod in pod_specs(list(yaml.safe_load_all(text)))
        for c in pod["containers"]
        for command in c["command"]
    }
    assert programs <= allowed
    built = list(yaml.safe_load_all(text))
    assert all(
        name.startswith(prefix)
        for rule in rules_of(built)
        for name in rule.get("resourceNames", ())
    )
    for manifest in built:
        for path, value in strings_in(manifest):
            if path.endswith(".command.0"):
                continue
            assert "configmapsync-system" not in value, (path, value)
            assert "configmapsync-" not in value.replace(prefix, ""), (path, value)
            # The PriorityClass of Kubernetes.
            of_ours = value.removeprefix("system-cluster-critical")
            assert not re.search(r"\bsystem\b(?!:)", of_ours) or "description" in path, (
                path,
                value,
            )


def strings_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string of a document with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from strings_in(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from strings_in(inner, f"{path}.{index}")
    elif isinstance(value, str):
        yield path, value


def test_two_lines_give_it_another_namespace_and_another_prefix(copied_config: Path) -> None:
    edit_default(
        copied_config,
        ("namespace: configmapsync-system", "namespace: elsewhere"),
        ("namePrefix: configmapsync-", "namePrefix: acme-"),
    )
    text = build_text(copied_config / "default")
    assert_follows(text, "acme-")
    names = {m["metadata"]["name"] for m in yaml.safe_load_all(text)}
    assert {"elsewhere", "acme-webhook", "acme-reconciler"} <= names


def test_an_overlay_gives_it_another_namespace_and_another_prefix(copied_config: Path) -> None:
    text = build_text(overlaid(copied_config))
    assert_follows(text, "acme-configmapsync-")
    built = list(yaml.safe_load_all(text))
    tool = {env["value"] for env in _environment(built) if NAMES_TOLD.match(env["name"])}
    assert tool == {"acme-configmapsync-webhook"}
    lease = [
        env["value"]
        for env in _environment(built)
        if env["name"] == "CONFIGMAPSYNC_LEADER_ELECTION_NAME"
    ]
    assert lease == ["acme-configmapsync-reconciler"]


def test_cert_manager_follows_another_namespace_and_another_prefix(copied_config: Path) -> None:
    edit_default(
        copied_config,
        ("namespace: configmapsync-system", "namespace: elsewhere"),
        ("namePrefix: configmapsync-", "namePrefix: acme-"),
    )
    built = list(yaml.safe_load_all(build_text(copied_config / "overlays" / "cert-manager")))
    [certificate] = [c for c in of_kind(built, "Certificate") if not c["spec"].get("isCA")]
    assert certificate["spec"]["dnsNames"] == [
        "acme-webhook.elsewhere.svc",
        "acme-webhook.elsewhere.svc.cluster.local",
    ]
    assert {m["metadata"]["namespace"] for m in of_kind(built, "Certificate", "Issuer")} == {
        "elsewhere"
    }
    pod = named(built, "Deployment", "acme-webhook")["spec"]["template"]["spec"]
    assert (
        pod["volumes"][0]["secret"]["secretName"]
        == certificate["spec"]["secretName"]
        == "acme-webhook"
    )


def test_a_set_of_namespaces_follows_another_namespace_and_another_prefix(
    copied_config: Path,
) -> None:
    edit_default(
        copied_config,
        ("namespace: configmapsync-system", "namespace: elsewhere"),
        ("namePrefix: configmapsync-", "namePrefix: acme-"),
    )
    built = list(yaml.safe_load_all(build_text(copied_config / "overlays" / "namespaces")))
    assert "acme-reconciler-copies" not in {
        m["metadata"]["name"] for m in of_kind(built, "ClusterRoleBinding")
    }
    bindings = [
        m for m in of_kind(built, "RoleBinding") if m["metadata"]["name"] == WHERE_COPIES_GO
    ]
    account = {"kind": "ServiceAccount", "name": "acme-reconciler", "namespace": "elsewhere"}
    assert all(
        m["roleRef"]["name"] == "acme-reconciler-copies" and m["subjects"] == [account]
        for m in bindings
    )


@pytest.mark.parametrize("options", [o for n in (1, 2) for o in itertools.combinations(OPTIONS, n)])
def test_every_commented_out_option_can_be_enabled(
    copied_config: Path, options: tuple[str, ...]
) -> None:
    edit_default(copied_config, *((f"#- {option}\n", f"- {option}\n") for option in options))
    built = list(yaml.safe_load_all(build_text(copied_config / "default")))
    added = {m["kind"] for m in built} - {m["kind"] for m in build()}
    assert ("ServiceMonitor" in added, "NetworkPolicy" in added) == tuple(
        option in options for option in OPTIONS
    )
    assert {m["metadata"].get("namespace") for m in built if m["kind"] in added} == {
        "configmapsync-system"
    }


def test_every_image_has_a_fixed_version(installation: list[Manifest]) -> None:
    images = {
        container["image"] for _, pod in pod_specs(installation) for container in pod["containers"]
    }
    version = re.search(
        r'^version = "(.+)"', (CONFIG.parent / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert version is not None
    assert images == {f"configmapsync:{version[1]}"}


def _environment(manifests: list[Manifest]) -> Iterator[dict[str, Any]]:
    for _, pod in pod_specs(manifests):
        for container in pod["containers"]:
            yield from container.get("env", ())
