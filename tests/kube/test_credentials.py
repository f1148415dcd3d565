"""Credentials are found, kept fresh, and reported in one line if they are wrong."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from kube import configuration, credentials
from kube.configuration import ConfigurationError
from kube.connection import Connection, ConnectionSettings
from kube.errors import Unauthorized
from tests.kube.scripted import ApiServer, answering, api_server, status
from tests.kube.test_tls import NOW, _listener
from tests.support.pki import Authority
from tests.support.users import write_kubeconfig


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with api_server(tmp_path) as running:
        running.answer = answering()
        yield running


def accepting(*tokens: str) -> Callable[[web.Request], Any]:
    """Answers only who shows one of the tokens."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") in {f"Bearer {each}" for each in tokens}:
            return web.Response(body=b"{}\n")
        return web.json_response(status(401, "Unauthorized"), status=401)

    return answer


async def refused(settings: ConnectionSettings) -> str:
    """What is said when there is no way."""
    with pytest.raises(ConfigurationError) as caught:
        async with Connection.open(settings):
            pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_the_named_file_comes_first(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
    async with server.connection(kubeconfig=server.kubeconfig()) as connection:
        await connection.request("GET", "/things")
    assert len(server.requests) == 1


async def test_then_those_that_the_environment_names(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The context and the user may be in different files; a missing file is skipped."""
    whole = yaml.safe_load(server.kubeconfig(token="alice").read_text())
    users = {"users": whole.pop("users")}
    users["current-context"] = "another, which does not count as it comes later"
    for name, part in (("clusters", whole), ("users", users)):
        (tmp_path / name).write_text(yaml.safe_dump(part))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/missing:{tmp_path}/clusters:{tmp_path}/users")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "192.0.2.1")
    async with Connection.open(ConnectionSettings()) as connection:
        await connection.request("GET", "/things")
    assert server.requests[0].headers["Authorization"] == "Bearer alice"


async def test_at_last_the_one_in_the_home_folder(server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "home/.kube").mkdir(parents=True)
    server.kubeconfig().rename(tmp_path / "home/.kube/config")
    async with Connection.open(ConnectionSettings()) as connection:
        await connection.request("GET", "/things")
    assert len(server.requests) == 1


async def test_a_context_can_be_chosen(server: ApiServer, tmp_path: Path) -> None:
    path = server.kubeconfig(token="alice")
    document = yaml.safe_load(path.read_text())
    document["users"].append({"name": "bob", "user": {"token": "bob"}})
    document["contexts"].append({"name": "other", "context": {"cluster": "test", "user": "bob"}})
    path.write_text(yaml.safe_dump(document))
    async with server.connection(kubeconfig=path, context="other") as connection:
        await connection.request("GET", "/things")
    assert server.requests[0].headers["Authorization"] == "Bearer bob"


async def test_nothing_anywhere_is_said(tmp_path: Path) -> None:
    said = await refused(ConnectionSettings())
    assert said.startswith("no API server is configured")
    assert str(tmp_path / "home/.kube/config") in said


def _broken(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    document = yaml.safe_load(path.read_text())
    edit(document)
    path.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            lambda file: file.pop("current-context"),
            "no current-context is set; name one with --context",
        ),
        (lambda file: file.update({"current-context": "nowhere"}), "there is no context 'nowhere'"),
        (lambda file: file.update(clusters=[]), "there is no cluster 'test'"),
        (lambda file: file.update(clusters=None), "there is no cluster 'test'"),
        (lambda file: file.update(users=[]), "there is no user 'test'"),
        (
            lambda file: file["clusters"][0]["cluster"].pop("server"),
            "the server of cluster 'test' is no http(s) address",
        ),
        (
            lambda file: file["clusters"][0]["cluster"].update(server="here"),
            "the server of cluster 'test' is no http(s)",
        ),
        (lambda file: file["users"][0].update(user={"tokenFile": "missing"}), "missing"),
        (lambda file: file["users"][0].update(user={"exec": {"command": "x"}}), "apiVersion"),
    ],
)
async def test_what_is_wrong_in_a_kubeconfig_is_said(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], said: str
) -> None:
    path = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1", None, {"token": "t"})
    _broken(path, edit)
    message = await refused(ConnectionSettings(kubeconfig=path))
    assert message.startswith(f"kubeconfig {path}: ")
    assert said in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file"),
        (b"a: [", "is not YAML: line 1, column 5"),
        (b"token: hunter2\n\tbad: tab", "is not YAML: line 2, column 1"),
        (b"", "it is no mapping"),
        (b"- a list", "it is no mapping"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
async def test_what_is_no_kubeconfig_is_said_without_quoting_it(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_bytes(content)
    message = await refused(ConnectionSettings(kubeconfig=path))
    assert said in message
    assert str(path) in message
    assert "hunter2" not in message


async def test_a_context_that_is_not_there_is_said(server: ApiServer) -> None:
    message = await refused(
        ConnectionSettings(kubeconfig=server.kubeconfig(), context="production")
    )
    assert message.endswith("there is no context 'production'")


async def test_somebody_without_credentials_is_said_over_tls(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", None, {"token": "t"})
    _broken(path, lambda file: file["contexts"][0]["context"].pop("user"))
    assert "context 'test' names no user" in await refused(ConnectionSettings(kubeconfig=path))


async def test_nobody_in_particular_may_ask_over_plain_http(server: ApiServer) -> None:
    path = server.kubeconfig()
    _broken(path, lambda file: (file["contexts"][0]["context"].pop("user"), file.pop("users")))
    async with server.connection(kubeconfig=path) as connection:
        await connection.request("GET", "/things")
    assert "Authorization" not in server.requests[0].headers


async def test_a_token_file_is_read_again_when_the_server_refuses(
    server: ApiServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    async with server.connection(kubeconfig=server.kubeconfig(tokenFile=str(file))) as connection:
        server.answer = accepting("first")
        await connection.request("GET", "/things")
        file.write_text("second\n")
        server.answer = accepting("second")
        await connection.request("GET", "/things")
        assert [seen.headers["Authorization"] for seen in server.requests[1:]] == [
            "Bearer first",
            "Bearer second",
        ]
        file.write_text("third\n")
        server.answer = accepting("third")
        async with connection.stream(
            "/things", params={}, idle_timeout=5, total_timeout=5
        ) as lines:
            assert [line async for line in lines] == [b"{}\n"]


async def test_a_token_file_that_is_briefly_missing_is_no_failure(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "RELOAD_SECONDS", 0.0)
    file = tmp_path / "token"
    file.write_text("first\n")
    server.answer = accepting("first", "second")
    async with server.connection(kubeconfig=server.kubeconfig(tokenFile=str(file))) as connection:
        file.unlink()
        await connection.request("GET", "/things")
        file.write_text("second\n")
        await connection.request("GET", "/things")
    assert [seen.headers["Authorization"] for seen in server.requests] == [
        "Bearer first",
        "Bearer second",
    ]


class Plugin:
    """An exec plugin that says what the test wants, and counts its runs."""

    def __init__(self, folder: Path) -> None:
        self._answer = folder / "answer"
        self._runs = folder / "runs"
        self._script = folder / "plugin.py"
        self._script.write_text(
            "import pathlib, sys\n"
            f"pathlib.Path({str(self._runs)!r}).open('a').write('x')\n"
            f"answer = pathlib.Path({str(self._answer)!r}).read_text()\n"
            "sys.exit('the identity provider is down') if answer == 'fail' else print(answer)\n"
        )

    def gives(self, token: str, expiry: str | None = None) -> None:
        credential = {"token": token} | ({"expirationTimestamp": expiry} if expiry else {})
        version = "client.authentication.k8s.io/v1"
        self._answer.write_text(
            json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": credential})
        )

    def fails(self) -> None:
        self._answer.write_text("fail")

    @property
    def runs(self) -> int:
        return len(self._runs.read_text())

    def install(self, path: Path) -> Path:
        command = {
            "command": sys.executable,
            "args": [str(self._script)],
            "interactiveMode": "Never",
        }
        user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", **command}}
        _broken(path, lambda file: file["users"][0].update(user=user))
        return path


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


async def test_a_plugin_is_asked_again_when_the_server_refuses_its_token(
    server: ApiServer, plugin: Plugin
) -> None:
    plugin.gives("first", expiry="2999-01-01T00:00:00Z")
    async with server.connection(kubeconfig=plugin.install(server.kubeconfig())) as connection:
        server.answer = accepting("first")
        await connection.request("GET", "/things")
        await connection.request("GET", "/things")
        assert plugin.runs == 1
        plugin.gives("second", expiry="2999-01-01T00:00:00Z")
        server.answer = accepting("second")
        await connection.request("GET", "/things")
        assert plugin.runs == 2


async def test_a_plugin_is_asked_again_when_its_token_expires(
    server: ApiServer, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "RELOAD_SECONDS", 0.0)
    plugin.gives("first", expiry="2020-01-01T00:00:00Z")
    async with server.connection(kubeconfig=plugin.install(server.kubeconfig())) as connection:
        plugin.gives("second", expiry="2999-01-01T00:00:00Z")
        await connection.request("GET", "/things")
        await connection.request("GET", "/things")
    assert [seen.headers["Authorization"] for seen in server.requests] == [
        "Bearer second",
        "Bearer second",
    ]
    assert plugin.runs == 2


async def test_a_plugin_whose_tokens_do_not_expire_is_left_alone(
    server: ApiServer, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "RELOAD_SECONDS", 0.0)
    plugin.gives("for ever")
    async with server.connection(kubeconfig=plugin.install(server.kubeconfig())) as connection:
        await connection.request("GET", "/things")
        await connection.request("GET", "/things")
    assert plugin.runs == 1


async def test_a_plugin_that_fails_once_does_not_end_us(server: ApiServer, plugin: Plugin) -> None:
    plugin.gives("first")
    async with server.connection(kubeconfig=plugin.install(server.kubeconfig())) as connection:
        plugin.fails()
        server.answer = accepting("second")
        with pytest.raises(Unauthorized):
            await connection.request("GET", "/things")
        plugin.gives("second")
        await connection.request("GET", "/things")


async def test_a_plugin_that_fails_at_the_start_is_said_with_its_own_words(
    server: ApiServer, plugin: Plugin
) -> None:
    plugin.fails()
    message = await refused(ConnectionSettings(kubeconfig=plugin.install(server.kubeconfig())))
    assert "exec: process returned 1. the identity provider is down" in message


class Pod:
    """The files that a kubelet mounts."""

    def __init__(self, folder: Path, authority: Path) -> None:
        self.folder = folder / "serviceaccount"
        self.folder.mkdir()
        (self.folder / "ca.crt").write_bytes(authority.read_bytes())
        self.token = self.folder / "token"
        self.token.write_text("first\n")


@pytest.fixture
async def pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Pod, ApiServer]]:
    authority = Authority(tmp_path, NOW)
    pair = authority.server("server", ["localhost"], ["127.0.0.1"])
    async with api_server(tmp_path, _listener(pair)) as server:
        server.answer = accepting("first")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server.port))
        pod = Pod(tmp_path, authority.pair.certificate)
        monkeypatch.setattr(configuration, "SERVICE_ACCOUNT", pod.folder)
        yield pod, server


async def test_a_pod_uses_its_service_account(pod: tuple[Pod, ApiServer]) -> None:
    _, server = pod
    async with Connection.open(ConnectionSettings()) as connection:
        await connection.request("GET", "/things")
    assert server.requests[0].headers["Authorization"] == "Bearer first"


async def test_a_pods_token_is_read_again_when_the_server_refuses(
    pod: tuple[Pod, ApiServer],
) -> None:
    files, server = pod
    async with Connection.open(ConnectionSettings()) as connection:
        files.token.write_text("second\n")
        server.answer = accepting("second")
        await asyncio.gather(*(connection.request("GET", "/things") for _ in range(5)))
        files.token.unlink()
        await connection.request("GET", "/things")


@pytest.mark.parametrize("missing", ["token", "ca.crt"])
async def test_a_pod_without_a_service_account_is_told(
    pod: tuple[Pod, ApiServer], missing: str
) -> None:
    files, _ = pod
    (files.folder / missing).unlink()
    message = await refused(ConnectionSettings())
    assert message.startswith("the pod's service account cannot be used: ")
