"""How the command line says things: durations in and out, exit statuses, text that cannot steer a terminal."""

from __future__ import annotations

import pytest

from bot_client.cli.exits import MEANINGS, Exit, exit_of, exit_table
from bot_client.cli.options import SPENDS, seconds_of
from understudy.contracts.call import Reason, Spend
from understudy.errors import (
    AllProvidersFailed,
    CallCancelled,
    DeadlineExceeded,
    InvalidRequest,
    KeyConflict,
    NoWorkers,
    Quarantined,
    SettingsError,
    Unavailable,
    UnknownCall,
    VersionMismatch,
)
from understudy.words import WORDS, printable, span, standing, words


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (-5, "0 ms"),
        (0, "0 ms"), (420, "420 ms"), (999.6, "1.0 s"), (4_200, "4.2 s"), (9_949, "9.9 s"),
        (9_950, "10 s"), (59_400, "59 s"), (60_000, "1 min"), (125_000, "2 min 5 s"),
        (3_600_000, "1 h"), (3_780_000, "1 h 3 min"),
        (86_400_000, "1 d"), (97_200_000, "1 d 3 h"),
    ],
)  # fmt: skip
def test_a_span_is_said_as_exactly_as_a_reader_needs(ms: float, said: str) -> None:
    assert span(ms) == said


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90), ("1.5", 1.5), ("90s", 90), ("30m", 1800), ("30min", 1800), ("2h", 7200), ("1h30m", 5400),
        ("1h 30m", 5400), ("1d", 86_400), ("250ms", 0.25), (" 30M ", 1800), ("0", 0), ("", None), ("soon", None),
        ("-5", None), ("5 weeks", None), ("m30", None), ("1h30", None), ("nan", None), ("inf", None), ("1e9", None),
    ],
)  # fmt: skip
def test_a_duration_is_read_or_refused(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SettingsError("x"), 2), (InvalidRequest("x"), 2), (KeyConflict("x"), 2), (UnknownCall("x"), 5),
        (Unavailable("x"), 4), (DeadlineExceeded("x"), 3), (AllProvidersFailed("x"), 1), (NoWorkers("x"), 1),
        (CallCancelled("x"), 1), (Quarantined("x"), 1), (VersionMismatch("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_each_error_has_an_exit_status(error: Exception, status: int) -> None:
    assert exit_of(error) == status


def test_help_lists_every_exit_status() -> None:
    assert set(MEANINGS) == set(Exit)
    assert all(f"  {status.value:<4} {MEANINGS[status]}" in exit_table() for status in Exit)


def test_the_spend_policies_are_those_of_a_call() -> None:
    assert list(SPENDS) == [spend.value for spend in Spend]


def test_every_reason_of_a_failed_call_has_words() -> None:
    assert [reason for reason in Reason if reason not in WORDS] == []


def test_a_reason_without_words_is_shown_as_it_is_but_cannot_steer_a_terminal() -> None:
    assert words("half of the last minute failed") == "half of the last minute failed"
    assert words("\x1b[2J") == "\ufffd[2J"
    assert standing("new\x07") == "new\ufffd"


def test_control_characters_are_replaced_and_all_scripts_are_kept() -> None:
    text = "Grüße, 日本, 👍🏽, مرحبا"
    assert printable(text) == text
    assert printable("a\nb\tc\x9b1m\ud800") == "a\ufffdb\ufffdc\ufffd1m\ufffd"
    assert printable("a\nb\tc", keep="\n\t") == "a\nb\tc"
