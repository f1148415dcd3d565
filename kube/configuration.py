"""Find the API server and the credentials, as `kubectl` and controllers do.

`connection.py` asks for a source, and `credentials.py` loads it again and again.
kubernetes_asyncio reads the kubeconfig, runs plugins and reads the pod's service
account; this module adds errors in one line for people. It must not send a request to
the API server.
"""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import yaml

from kube.errors import in_one_line
from kube.lean import credential_layer

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # with token and CA
DEFAULT_NAMESPACE = "default"  # of a context that names none
LOAD_SECONDS = 20.0  # for one load; an exec plugin may ask an identity provider

Document = dict[str, Any]


class ConfigurationError(Exception):
    """The API server or the credentials cannot be found; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class Target:
    """An API server and the client's credentials for it, as they are now.

    Attributes:
        host: address of the API server, `https://...`.
        authority: file with the CA of the API server; None for the system's CAs.
        certificate: files with the client certificate and its key; None without one.
        verify: whether the certificate of the API server is verified.
        server_name: name to expect in that certificate; None for the host's name.
        proxy: proxy URL of the kubeconfig; None without one.
        authorization: the `Authorization` header; None without one.
    """

    host: str
    authority: str | None = None
    certificate: tuple[str, str | None] | None = None
    verify: bool = True
    server_name: str | None = None
    proxy: str | None = None
    authorization: str | None = None

    @classmethod
    def of(cls, configuration: Any) -> Self:
        """Return the target in a `Configuration` of the library."""
        # A token file ends with a newline, which a header must not contain.
        authorization = (configuration.api_key.get("BearerToken") or "").strip()
        certificate = (configuration.cert_file, configuration.key_file)
        return cls(
            host=str(configuration.host).rstrip("/"),
            authority=configuration.ssl_ca_cert,
            certificate=certificate if configuration.cert_file else None,
            verify=bool(configuration.verify_ssl),
            server_name=configuration.tls_server_name,
            proxy=configuration.proxy,
            authorization=authorization or None,
        )


class Source(Protocol):
    """Where the credentials come from."""

    async def load(self, *, refused: bool) -> Target:
        """Return the newest credentials.

        Args:
            refused: whether the API server has refused the present ones.

        Raises:
            ConfigurationError: they cannot be loaded.
        """


def own_namespace() -> str:
    """Return the namespace of the pod of this process; empty if the process is not in a pod."""
    file = SERVICE_ACCOUNT / "namespace"
    return file.read_text(encoding="utf-8").strip() if file.exists() else ""


def find(kubeconfig: Path | None, context: str | None) -> Source:
    """Return the source of the credentials; nothing is loaded yet.

    Args:
        kubeconfig: the file; by default `$KUBECONFIG`, then the pod's service account, then
            `~/.kube/config`.
        context: of the kubeconfig; its current one by default.

    Raises:
        ConfigurationError: no source exists.
    """
    named = kubeconfig or os.environ.get("KUBECONFIG")
    if named:
        return Kubeconfig(str(named), context)
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return InCluster()
    default = Path("~/.kube/config").expanduser()
    if not default.exists():
        raise ConfigurationError(
            "no API server is configured: this process does not run in a pod, "
            f"no kubeconfig is named, and {default} does not exist"
        )
    return Kubeconfig(str(default), context)


def default_namespace(kubeconfig: Path | None, context: str | None) -> str:
    """Return the namespace that `kubectl` uses without `-n`.

    Args:
        kubeconfig: the file; by default as for `find`.
        context: of the kubeconfig; its current one by default.

    Raises:
        ConfigurationError: the kubeconfig cannot be read.
    """
    source = find(kubeconfig, context)
    named = source.namespace() if isinstance(source, Kubeconfig) else own_namespace()
    return named or DEFAULT_NAMESPACE


class InCluster:
    """The service account of the pod that the process runs in."""

    async def load(self, *, refused: bool) -> Target:  # noqa: ARG002 - the files are read in any case
        """Read the token and the CA, as `Source.load` describes."""
        library = credential_layer()
        configuration = library.configuration()
        try:
            library.config.load_incluster_config(
                client_configuration=configuration,
                token_filename=str(SERVICE_ACCOUNT / "token"),
                cert_filename=str(SERVICE_ACCOUNT / "ca.crt"),
            )
        except (library.config.ConfigException, OSError) as error:
            raise ConfigurationError(
                f"the pod's service account cannot be used: {in_one_line(error)}"
            ) from error
        return Target.of(configuration)


class Kubeconfig:
    """A user in one or more kubeconfig files, with any kind of credentials."""

    def __init__(self, files: str, context: str | None) -> None:
        """Prepare; nothing is read yet.

        Args:
            files: paths as in `$KUBECONFIG`; those that do not exist are ignored if one does.
            context: of the files; the current one by default.
        """
        self._files = files
        self._context = context
        self._loader: Any = None
        self._target: Target  # the last one
        self._has_plugin = False

    async def load(self, *, refused: bool) -> Target:
        """Load the user's credentials, as `Source.load` describes."""
        library = credential_layer()
        configuration = library.configuration()
        if self._loader is None:
            await self._load_first(configuration)
        else:
            if refused:
                # Otherwise the library keeps what the API server has just refused.
                vars(self._loader).pop("exec_plugin_expiry", None)
            elif self._has_plugin and not hasattr(self._loader, "exec_plugin_expiry"):
                # Credentials without an expiry are good until the API server refuses them.
                return self._target
            await self._loader.load_and_set(configuration)
        self._target = target = Target.of(configuration)
        if self._has_plugin and target.certificate and target.authorization is None:
            # For a token the library sets the expiry itself. With it, it runs the plugin five
            # minutes before.
            self._loader.exec_plugin_expiry = _not_after(target.certificate[0])
        return target

    def namespace(self) -> str:
        """Return the namespace of the context; empty if the context names none.

        Raises:
            ConfigurationError: the files cannot be read.
        """
        return _context(self._files, self._context).namespace

    async def _load_first(self, configuration: Any) -> None:
        files = self._files
        context = _context(files, self._context)
        self._has_plugin = context.has_plugin
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                self._loader = await credential_layer().config.load_kube_config(
                    config_file=files,
                    context=context.name,
                    client_configuration=configuration,
                    persist_config=False,
                )
        except TimeoutError as error:
            raise ConfigurationError(
                f"kubeconfig {files}: the plugin gave no credentials within {LOAD_SECONDS:.0f} s"
            ) from error
        except Exception as error:  # the library and its plugins raise any class
            raise ConfigurationError(f"kubeconfig {files}: {in_one_line(error)}") from error


def _not_after(certificate: str) -> Any:
    # Only a client with a certificate needs this import, of 7 MiB; a pod has none.
    from cryptography import x509  # noqa: PLC0415

    return x509.load_pem_x509_certificate(Path(certificate).read_bytes()).not_valid_after_utc


def _documents(files: str) -> list[Document]:
    paths = [Path(path).expanduser() for path in files.split(os.pathsep) if path]
    documents = [_read(path) for path in paths if path.exists()]
    if not documents:
        raise ConfigurationError(f"kubeconfig {files}: there is no such file")
    return documents


def _read(path: Path) -> Document:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"kubeconfig {path} cannot be read: {in_one_line(error)}"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"kubeconfig {path} is not YAML: {_position(error)}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"kubeconfig {path} is not a kubeconfig: it is no mapping")
    return document


class _Context(NamedTuple):
    """The context to use, its namespace (or empty), and whether its user runs a plugin."""

    name: str
    namespace: str
    has_plugin: bool


def _context(files: str, named: str | None) -> _Context:
    """Choose the named or the current context, and check what it names.

    The cluster and the user are checked here, because the errors of the library do not name
    what is missing. As in `kubectl`, the first file that sets a current context decides.
    """
    documents = _documents(files)
    current = (each["current-context"] for each in documents if each.get("current-context"))
    chosen = named or next(current, None)
    if chosen is None:
        raise ConfigurationError(
            f"kubeconfig {files}: no current-context is set; name one with --context"
        )
    entry = _entry(files, documents, "context", chosen)
    server = str(_entry(files, documents, "cluster", str(entry.get("cluster"))).get("server"))
    if not server.startswith(("https://", "http://")):
        raise ConfigurationError(
            f"kubeconfig {files}: the server of cluster {entry['cluster']!r} is no http(s) address"
        )
    if "user" not in entry and server.startswith("https://"):
        raise ConfigurationError(f"kubeconfig {files}: context {chosen!r} names no user")
    user = _entry(files, documents, "user", str(entry["user"])) if "user" in entry else {}
    return _Context(str(chosen), str(entry.get("namespace") or ""), "exec" in user)


def _entry(files: str, documents: Iterable[Document], kind: str, name: str) -> Document:
    """Return the entry of that kind and name in the first file that has it."""
    for document in documents:
        for entry in document.get(f"{kind}s") or ():
            if (
                isinstance(entry, dict)
                and entry.get("name") == name
                and isinstance(entry.get(kind), dict)
            ):
                return Document(entry[kind])
    raise ConfigurationError(f"kubeconfig {files}: there is no {kind} {name!r}")


def _position(error: yaml.YAMLError) -> str:
    """Return where the error is, without the text around it: it may be a token."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark else type(error).__name__
