"""The page listens on loopback addresses only, because it has no sign-in."""

import pytest

from reconciler.settings import ReconcilerSettings
from runtime.settings import load


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:8082", "localhost:0", "[::1]:8082", "127.8.8.8:1"]
)
def test_a_loopback_address_is_accepted(address: str) -> None:
    settings = load(ReconcilerSettings, "test", [f"--page-address={address}"])

    assert settings.page_address == address


@pytest.mark.parametrize(
    "address",
    [":8082", "0.0.0.0:8082", "[::]:8082", "10.0.0.1:8082", "example.com:80", "localhost", "x"],
)
def test_any_other_address_is_refused_with_the_flag(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        load(ReconcilerSettings, "test", [f"--page-address={address}"])

    assert ended.value.code == 2
    assert "--page-address" in capsys.readouterr().err


def test_without_the_flag_there_is_no_page() -> None:
    assert load(ReconcilerSettings, "test", []).page_address == ""
