"""Turns one object into a template: what becomes a value of the chart, and how that is written. Only `chart.py` uses it.

An object is changed as an object, with placeholders in the places of values, and printed as YAML; then each placeholder becomes what Helm
understands. That keeps indentation and quoting the business of a YAML library.
"""

import copy
import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

Manifest = dict[str, Any]

BRACES = (
    "{{",
    '{{ "{{" }}',
)  # Prometheus' rules have templates of their own, which Helm must hand on
CRD_KEPT = "{{- if $.Values.crds.keep }}\nannotations:\n  helm.sh/resource-policy: keep\n{{- end }}"
SERVED = '{{- with $.Values.namespaces }}\n- --served-namespaces={{ join "," . }}\n{{- end }}'
LABELS = '{{- include "configmapsync.labels" $ | nindent INDENT }}'
SCRAPED_BY = {"ServiceMonitor": "serviceMonitor", "PrometheusRule": "prometheusRule"}


class _Dumper(yaml.SafeDumper):
    """Prints texts of several lines, such as a dashboard, as lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)


class Spots:
    """The placeholders of one object."""

    def __init__(self) -> None:
        """Start with none."""
        self._inline: list[str] = []
        self._lines: list[str] = []

    def inline(self, expression: str) -> str:
        """Stand for a value."""
        self._inline.append(expression)
        return f"INLINE-{len(self._inline) - 1}-"

    def lines(self, text: str) -> dict[str, None]:
        """Stand for whole lines of a mapping; INDENT is theirs, and INDENT+2 that of what is inside."""
        self._lines.append(text.strip("\n"))
        return {f"LINES-{len(self._lines) - 1}-": None}

    def item(self, text: str) -> str:
        """Stand for whole lines of a list."""
        return next(iter(self.lines(text)))

    def fill(self, text: str) -> str:
        """Write what each stands for in its place."""
        text = text.replace(*BRACES)
        text = re.sub(
            r"^( *)(?:- )?LINES-(\d+)-(?:: null)?$", self._filled_lines, text, flags=re.MULTILINE
        )
        return re.sub(
            r"INLINE-(\d+)-", lambda match: f"{{{{ {self._inline[int(match[1])]} }}}}", text
        )

    def _filled_lines(self, match: re.Match[str]) -> str:
        indent = len(match[1])
        text = (
            self._lines[int(match[2])]
            .replace("INDENT+2", str(indent + 2))
            .replace("INDENT", str(indent))
        )
        return "\n".join(match[1] + line if line else line for line in text.splitlines())


def template(
    manifest: Manifest, around: str, for_cert_manager: dict[str, str], paths: Sequence[str] = ()
) -> str:
    """The object as a template.

    Args:
        manifest: as kustomize printed it.
        around: when the chart has it, `if CONDITION`, or how often, `range NAMESPACES`; empty where it always has it, once.
        for_cert_manager: annotations that it has where cert-manager makes the certificates.
        paths: the path of each webhook where cert-manager makes the certificates; our own tool writes paths of its own.
    """
    spots, manifest = Spots(), copy.deepcopy(manifest)
    if around.startswith("range"):
        manifest["metadata"]["namespace"] = spots.inline("quote .")
    _metadata(manifest, spots, for_cert_manager)
    for webhook, path in zip(manifest.get("webhooks", ()), paths, strict=True):
        text = f"{{{{- if $.Values.certManager.enabled }}}}\npath: {path}\n{{{{- end }}}}"
        webhook["clientConfig"]["service"] |= spots.lines(text)
    if manifest["kind"] == "Deployment":
        component = manifest["metadata"]["labels"]["app.kubernetes.io/component"]
        manifest["spec"]["replicas"] = spots.inline(f"$.Values.{component}.replicas")
    for component, pod in _pods(manifest):
        _pod(pod, f"$.Values.{component}", spots)
    text = "---\n" + spots.fill(
        yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)
    )
    return f"{{{{- {around} }}}}\n{text}{{{{- end }}}}\n" if around else text


def _metadata(manifest: Manifest, spots: Spots, for_cert_manager: dict[str, str]) -> None:
    metadata, kind = manifest["metadata"], manifest["kind"]
    metadata["labels"] |= spots.lines(LABELS)
    if kind in SCRAPED_BY:
        metadata["labels"] |= spots.lines(_inside(f"$.Values.{SCRAPED_BY[kind]}.labels"))
    if kind == "CustomResourceDefinition":
        metadata |= spots.lines(CRD_KEPT)
    if for_cert_manager:
        text = yaml.safe_dump(for_cert_manager, width=10_000).strip()
        metadata |= spots.lines(
            f"{{{{- if $.Values.certManager.enabled }}}}\nannotations:\n  {text}\n{{{{- end }}}}"
        )
    if kind == "Job":  # whose pods cannot be changed: every revision has one of its own
        metadata["name"] += f"-{spots.inline('$.Release.Revision')}"


def _pods(manifest: Manifest) -> Iterable[tuple[str, Manifest]]:
    spec = manifest.get("spec", {})
    pod = (spec.get("jobTemplate", {}).get("spec") or spec).get("template")
    if manifest["kind"] in ("Deployment", "Job", "CronJob"):
        yield pod["metadata"]["labels"]["app.kubernetes.io/component"], pod


def _pod(pod: Manifest, values: str, spots: Spots) -> None:
    _more(pod["metadata"], "labels", f"{values}.podLabels", spots)
    _more(pod["metadata"], "annotations", f"{values}.podAnnotations", spots)
    spec = pod["spec"]
    for name in ("nodeSelector", "tolerations", "affinity"):
        spec |= spots.lines(_optional(name, f"{values}.{name}"))
    spec |= spots.lines(_optional("imagePullSecrets", "$.Values.imagePullSecrets"))
    [container] = spec["containers"]
    container["image"] = spots.inline('include "configmapsync.image" $')
    container |= spots.lines(
        "{{- with $.Values.image.pullPolicy }}\nimagePullPolicy: {{ . }}\n{{- end }}"
    )
    if values == "$.Values.reconciler":
        container["args"].append(spots.item(SERVED))
    _more(container, "args", f"{values}.extraArgs", spots)
    _more(container, "env", f"{values}.extraEnv", spots)
    del container["resources"]
    container |= spots.lines(_optional("resources", f"{values}.resources"))


def _more(of: Manifest, name: str, value: str, spots: Spots) -> None:
    """Let a mapping or a list have further entries; it is there where it has any."""
    if name not in of:
        of |= spots.lines(_optional(name, value))
    elif isinstance(of[name], list):
        of[name].append(spots.item(_inside(value)))
    else:
        of[name] |= spots.lines(_inside(value))


def _inside(value: str) -> str:
    """More entries of a mapping or a list that has some already."""
    return f"{{{{- with {value} }}}}\n{{{{- toYaml . | nindent INDENT }}}}\n{{{{- end }}}}"


def _optional(name: str, value: str) -> str:
    """An entry that is there where the value is set."""
    return f"{{{{- with {value} }}}}\n{name}:\n  {{{{- toYaml . | nindent INDENT+2 }}}}\n{{{{- end }}}}"
