"""Exchanges of a conversation: what belongs together, and what fits."""

from __future__ import annotations

from typing import Any

import pytest

from understudy.history import UNANSWERED, completed, exchanges, newest, open_calls, tokens_of, trimmed
from understudy.window import ANSWER_TOKENS, fitting, least_tokens


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def bot(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def calling(*ids: str) -> dict[str, Any]:
    calls = [{"id": i, "type": "function", "function": {"name": "look", "arguments": "{}"}} for i in ids]
    return {"role": "assistant", "tool_calls": calls}


def result(call: str, text: str = "ok") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": text}


PLAIN = [user("1"), bot("a"), user("2"), bot("b"), user("3"), bot("c")]
TOOLS = [user("1"), bot("a"), user("2"), calling("x", "y"), result("x"), result("y"), bot("b"), user("3"), bot("c")]


def names(messages: Any) -> str:
    """The messages by their text, tool calls as `!` and results as `=`."""
    return "".join("!" if "tool_calls" in m else "=" if m["role"] == "tool" else m["content"] for m in messages)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (PLAIN, ["1a", "2b", "3c"]),
        (TOOLS, ["1a", "2!==b", "3c"]),
        ([user("1"), user("2"), bot("b")], ["1", "2b"]),
        ([bot("a"), user("1")], ["1"]),
        ([result("x"), bot("a")], []),
        ([], []),
    ],
)
def test_an_exchange_is_a_users_message_and_all_up_to_the_next_one(messages: Any, expected: list[str]) -> None:
    assert [names(exchange) for exchange in exchanges(messages)] == expected


@pytest.mark.parametrize(
    ("messages", "limit", "expected"),
    [
        (PLAIN, 6, "1a2b3c"),
        (PLAIN, 5, "2b3c"),
        (PLAIN, 4, "2b3c"),
        (PLAIN, 1, "3c"),
        (TOOLS, 9, "1a2!==b3c"),
        (TOOLS, 8, "2!==b3c"),
        (TOOLS, 6, "3c"),
        (TOOLS, 3, "3c"),
        ([result("x"), *PLAIN], 9, "1a2b3c"),
        ([user("1"), user("2"), user("3")], 2, "23"),
    ],
)
def test_what_is_too_long_is_trimmed_from_the_oldest_whole_exchange(messages: Any, limit: int, expected: str) -> None:
    assert names(trimmed(messages, max_messages=limit)) == expected


@pytest.mark.parametrize("exchanges_that_fit", [0, 1, 2, 3])
def test_tokens_and_characters_trim_whole_exchanges_too(exchanges_that_fit: int) -> None:
    long = [user("1" * 40), bot("a" * 40), user("2" * 40), bot("b" * 40), user("3" * 40), bot("c" * 40)]
    of_one = sum(map(tokens_of, long[:2]))
    kept = max(1, exchanges_that_fit) * 2
    assert trimmed(long, max_tokens=exchanges_that_fit * of_one) == long[-kept:]
    assert trimmed(long, max_tokens=(exchanges_that_fit + 1) * of_one - 1) == long[-kept:]
    assert trimmed(long, max_chars=exchanges_that_fit * 80) == long[-kept:]


def test_an_exchange_in_the_middle_that_does_not_fit_ends_the_history_even_where_older_ones_would_fit() -> None:
    messages = [user("1"), bot("a"), user("2" * 4000), bot("b"), user("3"), bot("c")]
    assert names(trimmed(messages, max_tokens=100)) == "3c"


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (PLAIN, PLAIN),
        (TOOLS, TOOLS),
        ([user("1"), calling("x"), user("2")], [user("1"), calling("x"), result("x", UNANSWERED), user("2")]),
        (
            [user("1"), calling("x", "y"), result("y"), user("2")],
            [user("1"), calling("x", "y"), result("y"), result("x", UNANSWERED), user("2")],
        ),
        ([user("1"), calling("x")], [user("1"), calling("x"), result("x", UNANSWERED)]),
        ([user("1"), result("x"), bot("a")], [user("1"), bot("a")]),
    ],
)
def test_each_tool_call_gets_a_result_and_no_result_stands_without_its_call(messages: Any, expected: Any) -> None:
    assert completed(messages) == expected


def test_the_calls_that_wait_for_a_result_are_those_of_the_last_answer_only() -> None:
    assert open_calls([user("1"), calling("x", "y"), result("x")]) == {"y"}
    assert open_calls([user("1"), calling("x"), result("x"), bot("a")]) == set()
    assert open_calls([user("1"), calling("x"), user("2")]) == set()


def prompt(pairs: int, chars: int = 400) -> list[dict[str, Any]]:
    history = [m for i in range(pairs) for m in (user(f"{i}" + "q" * chars), bot(f"{i}" + "a" * chars))]
    return [{"role": "system", "content": "Be brief."}, *history, user("newest")]


@pytest.mark.parametrize("window", [1_000, 2_048, 4_096, 8_192, 16_384])
def test_what_is_left_of_a_history_fits_the_window_and_leaves_room_for_the_answer(window: int) -> None:
    messages = prompt(50)
    kept = fitting(messages, window)
    assert kept is not None
    assert kept[0] == messages[0]
    assert kept[-1] == messages[-1]
    room = min(ANSWER_TOKENS, window // 2)
    taken = sum(map(tokens_of, kept))
    assert taken <= window - room
    if len(kept) < len(messages):  # one exchange more would not have fitted
        assert kept[1] == messages[-len(kept) + 1]
        assert kept[1]["role"] == "user"
        assert taken + sum(map(tokens_of, messages[-len(kept) - 1 : -len(kept) + 1])) > window - room


def test_a_longer_answer_takes_its_room_from_the_history_up_to_half_of_the_window() -> None:
    short, long, longest = (fitting(prompt(50), 4_096, max_tokens=n) for n in (100, 2_000, 100_000))
    assert short
    assert long
    assert longest
    assert len(short) > len(long) >= len(longest)
    assert sum(map(tokens_of, longest)) > 1_700


def test_descriptions_of_tools_take_room() -> None:
    tools = [{"type": "function", "function": {"name": "look", "description": "x" * 4_000}}]
    without, with_tools = fitting(prompt(50), 4_096), fitting(prompt(50), 4_096, tools=tools)
    assert without
    assert with_tools
    assert len(with_tools) < len(without)


def test_where_the_newest_exchange_alone_is_too_long_nothing_fits() -> None:
    messages = [*prompt(2)[:-1], user("w " * 8_000)]
    needed = least_tokens("Be brief.", messages)
    assert fitting(messages, 4_096) is None
    assert fitting(messages, needed) is None
    assert fitting(messages, needed + 1) == [messages[0], messages[-1]]


def test_the_newest_exchange_is_all_from_the_last_users_message_on() -> None:
    assert names(newest(TOOLS[:-2])) == "2!==b"
    assert newest([result("x")]) == [result("x")]
