"""Turn one object into a Helm template: some of its fields become values of the chart.

Only `chart.py` calls it. It puts placeholders into the object, prints the object as
YAML and replaces the placeholders by expressions, so a YAML library does all
indentation and quoting.
"""

import copy
import re
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

Manifest = dict[str, Any]

# The alert rules contain templates of Prometheus, which Helm must not evaluate.
BRACES = ("{{", '{{ "{{" }}')
CRD_KEPT = "{{- if $.Values.crds.keep }}\nannotations:\n  helm.sh/resource-policy: keep\n{{- end }}"
SERVED = '{{- with $.Values.namespaces }}\n- --served-namespaces={{ join "," . }}\n{{- end }}'
LABELS = '{{- include "configmapsync.labels" $ | nindent INDENT }}'
SCRAPED_BY = {"ServiceMonitor": "serviceMonitor", "PrometheusRule": "prometheusRule"}


class _Dumper(yaml.SafeDumper):
    """Print strings with several lines, such as a dashboard, as a block."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _text)


class Spots:
    """The placeholders of one object and their texts."""

    def __init__(self) -> None:
        """Start without placeholders."""
        self._inline: list[str] = []
        self._lines: list[str] = []

    def inline(self, expression: str) -> str:
        """Return a placeholder for a value."""
        self._inline.append(expression)
        return f"INLINE-{len(self._inline) - 1}-"

    def lines(self, text: str) -> dict[str, None]:
        """Return a placeholder for lines of a mapping.

        INDENT in the text becomes the indentation of the lines, INDENT+2 that of nested lines.
        """
        self._lines.append(text.strip("\n"))
        return {f"LINES-{len(self._lines) - 1}-": None}

    def item(self, text: str) -> str:
        """Return a placeholder for lines of a list."""
        return next(iter(self.lines(text)))

    def fill(self, text: str) -> str:
        """Return `text` with each placeholder replaced by its text."""
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
    """Return the object as a template.

    Args:
        manifest: the object as kustomize printed it.
        around: `if CONDITION` or `range NAMESPACES`, or empty for an object without a condition.
        for_cert_manager: annotations that the object has with cert-manager.
        paths: the path of each webhook with cert-manager. The certificate tool writes its own
            paths.
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
    # The pods of a Job cannot be changed, so each revision has a Job of its own.
    if kind == "Job":
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
    """Add the entries of a value to a mapping or list, which exists if it has entries."""
    if name not in of:
        of |= spots.lines(_optional(name, value))
    elif isinstance(of[name], list):
        of[name].append(spots.item(_inside(value)))
    else:
        of[name] |= spots.lines(_inside(value))


def _inside(value: str) -> str:
    """Return the expression that adds entries to an existing mapping or list."""
    return f"{{{{- with {value} }}}}\n{{{{- toYaml . | nindent INDENT }}}}\n{{{{- end }}}}"


def _optional(name: str, value: str) -> str:
    """Return the expression of an entry that exists if the value is set."""
    content = "{{- toYaml . | nindent INDENT+2 }}"
    return f"{{{{- with {value} }}}}\n{name}:\n  {content}\n{{{{- end }}}}"
