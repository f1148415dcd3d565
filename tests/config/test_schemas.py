"""Every object of `config/` fits the Kubernetes OpenAPI schema.

The schemas are those of the oldest and the newest supported release.
"""

import warnings
from pathlib import Path

import pytest

from tests.support.manifests import CONFIG, Manifest, build

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import kubernetes_validate

OLDEST = "1.30"  # the first release with match conditions of webhooks
FOLDERS = sorted(path.parent for path in CONFIG.rglob("kustomization.yaml"))
# Kinds of other projects' CRDs, which the Kubernetes schemas do not contain.
FOREIGN_GROUPS = {"cert-manager.io", "monitoring.coreos.com", "apps.nishaf.info"}


def is_foreign(manifest: Manifest) -> bool:
    return manifest["apiVersion"].partition("/")[0] in FOREIGN_GROUPS


@pytest.mark.parametrize("release", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(CONFIG)))
def test_every_object_fits_its_schema(folder: Path, release: str) -> None:
    for manifest in build(folder):
        if not is_foreign(manifest):
            kubernetes_validate.validate(manifest, release, strict=True)


def test_a_misspelt_field_is_found() -> None:
    manifest = next(m for m in build() if m["kind"] == "Deployment")
    manifest["spec"]["template"]["spec"]["terminationGracePeriodsSeconds"] = 5
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, OLDEST, strict=True)
