"""Where Flower may listen, and with which logins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from understudy.errors import SettingsError
from workers.flower_guard import LOOPBACK, address_for, is_loopback, logins_in_file

if TYPE_CHECKING:
    from pathlib import Path

LOGIN = ["operator:secret"]


@pytest.mark.parametrize(
    ("address", "logins", "oauth", "listens"),
    [
        ("", [], False, LOOPBACK),
        ("127.0.0.1", [], False, "127.0.0.1"),
        ("127.8.9.1", [], False, "127.8.9.1"),
        ("::1", [], False, "::1"),
        ("localhost", [], False, "localhost"),
        ("", LOGIN, False, ""),
        ("0.0.0.0", LOGIN, False, "0.0.0.0"),
        ("0.0.0.0", [], True, "0.0.0.0"),
        ("10.0.0.1", ["a:b", "c:d:e"], False, "10.0.0.1"),
    ],
)
def test_it_listens_where_only_this_machine_reaches_it_or_where_it_asks_for_a_login(
    address: str, logins: list[str], oauth: bool, listens: str
) -> None:
    assert address_for(address, logins, oauth=oauth) == listens


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.0.0.1", "no such name"])
def test_without_a_login_it_listens_nowhere_else(address: str) -> None:
    assert not is_loopback(address)
    with pytest.raises(SettingsError, match=f"would listen on {address} without asking for a login"):
        address_for(address, [], oauth=False)


@pytest.mark.parametrize("login", ["", "operator", "operator:", ":secret", "operator:geheimnisä", "operator:a\nb"])
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
def test_a_login_that_lets_nobody_or_everybody_in_is_refused_and_not_shown(login: str, address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        address_for(address, ["a:b", login], oauth=False)
    assert str(caught.value).startswith("A login of Flower cannot be used (it is not shown)")
    assert not login or login not in str(caught.value)


def test_logins_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FLOWER_BASIC_AUTH_FILE", raising=False)
    assert logins_in_file() == []
    file = tmp_path / "logins"
    file.write_text("one:1\n\n two:2 \n", encoding="utf-8")
    monkeypatch.setenv("FLOWER_BASIC_AUTH_FILE", str(file))
    assert logins_in_file() == ["one:1", "two:2"]


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_file_without_a_login_is_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "logins"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("FLOWER_BASIC_AUTH_FILE", str(file))
    with pytest.raises(SettingsError, match="FLOWER_BASIC_AUTH_FILE"):
        logins_in_file()
