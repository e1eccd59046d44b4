"""Who looks at Flower's page, and whether that person may act."""

from __future__ import annotations

import base64

import pytest

from workers.flower_page.visitor import basic_login, is_foreign, local_login, visitor


def header(credentials: str, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(credentials.encode()).decode()}"


@pytest.mark.parametrize(
    ("who", "operators", "may_act", "why_not"),
    [
        ("ann", ("ann",), True, ""),
        ("ann", ("bob", "ann"), True, ""),
        ("local", ("local",), True, ""),
        ("ann", (), False, "Nobody may act here: UNDERSTUDY_OPERATORS names no operator."),
        ("ann", ("bob",), False, "You are signed in as ann, and UNDERSTUDY_OPERATORS does not name you: you may read."),
        ("ann", ("Ann", "annie"), False, "You are signed in as ann"),
        (None, ("local",), False, "Flower asks for no login here"),
        (None, (), False, "Flower asks for no login here"),
    ],
)
def test_who_is_named_may_act_and_everybody_else_is_told_why_not(
    who: str | None, operators: tuple[str, ...], may_act: bool, why_not: str
) -> None:
    found = visitor(who, operators)
    assert (found.who, found.may_act) == (who, may_act)
    assert found.why_not.startswith(why_not)
    assert bool(found.why_not) is not may_act


@pytest.mark.parametrize(
    ("authorization", "who"),
    [
        (header("ann:secret"), "ann"),
        (header("ann:se:cret"), "ann"),
        (header("ann@example.org:secret"), "ann@example.org"),
        (header("ann"), None),
        (header(":secret"), None),
        (header("ann:secret", "Bearer"), None),
        ("Basic !!!", None),
        ("Basic /w==", None),
        ("Basic", None),
        ("", None),
    ],
)
def test_the_login_of_basic_authentication_is_the_part_before_the_first_colon(
    authorization: str, who: str | None
) -> None:
    assert basic_login(authorization) == who


@pytest.mark.parametrize("host", ["localhost", "localhost:5555", "127.0.0.1:5555", "[::1]:5555", "LOCALHOST"])
def test_who_asks_by_a_name_of_this_machine_sits_at_it(host: str) -> None:
    assert local_login({"Host": host}) == "local"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example.org:5555"},
        {"Host": "localhost.example.org"},
        {"Host": "127.0.0.1.example.org"},
        {"Host": "10.0.0.1"},
        {"Host": "[::1"},
        {"Host": ""},
        {},
        {"Host": "localhost", "X-Forwarded-For": "10.0.0.1"},
        {"Host": "localhost", "Forwarded": "for=10.0.0.1"},
        {"Host": "localhost", "Via": "1.1 proxy"},
    ],
)
def test_who_comes_by_another_name_or_through_a_proxy_does_not(headers: dict[str, str]) -> None:
    assert local_login(headers) is None


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://flower.example.org"}, False),
        ({"Origin": "http://here:5555"}, False),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://here:5555"}, True),
        ({"Origin": "http://here:5556"}, True),
        ({"Origin": "http://here"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": "http://[here"}, True),
    ],
)
def test_a_page_of_another_site_is_known_by_what_its_browser_says(headers: dict[str, str], foreign: bool) -> None:
    assert is_foreign({"Host": "here:5555", **headers}) is foreign
