"""Where the API server is, and who we are to it: looked for where `kubectl` and controllers look.

A kubeconfig is read by `kubeconfig.py`; here is the order, and the pod's own service account. `connection.py` is the only user.
"""

import os
from pathlib import Path

from kube.kubeconfig import from_kubeconfig
from kube.lean import credential_layer
from kube.target import ConfigurationError, Target

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where every pod has it


async def find(kubeconfig: Path | None, context: str | None, service_account: Path) -> Target:
    """Find the API server.

    Args:
        kubeconfig: the file; by default $KUBECONFIG, then the pod's service account, then ~/.kube/config.
        context: of the kubeconfig; its current one by default.
        service_account: folder of the pod's token and CA.

    Raises:
        ConfigurationError: there is nothing usable.
    """
    files = _files(kubeconfig)
    return _in_cluster(service_account) if files is None else await from_kubeconfig(files, context)


def _files(kubeconfig: Path | None) -> str | None:
    """The kubeconfig files to read; None where the pod's service account is to be used."""
    named = str(kubeconfig) if kubeconfig else os.environ.get("KUBECONFIG")
    if named:
        return named
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return None
    default = Path("~/.kube/config").expanduser()
    if not default.exists():
        raise ConfigurationError(
            f"no API server is configured: this is no pod, and no kubeconfig is named nor at {default}"
        )
    return str(default)


def _in_cluster(service_account: Path) -> Target:
    configuration_class, config = credential_layer()
    configuration = configuration_class()
    token_file = service_account / "token"
    try:
        config.load_incluster_config(
            client_configuration=configuration,
            token_filename=str(token_file),
            cert_filename=str(service_account / "ca.crt"),
        )
    except (config.ConfigException, OSError) as error:
        raise ConfigurationError(f"the pod's service account cannot be used: {error}") from error

    async def load(refused: bool) -> str | None:  # noqa: ARG001 - a file is simply read again
        text = token_file.read_text(encoding="utf-8").strip()
        return f"Bearer {text}" if text else None

    return Target.of(configuration, load)
