"""Which of a call's events count."""

from __future__ import annotations

import pytest

from bot_client.inbox import Event
from bot_client.order import Order, Reading

FLOOR = 100


def _event(epoch: int, n: int, kind: str = "delta", data: str = "{}") -> Event:
    return Event("c", kind, epoch, n, data)


STARTED = _event(101, 0, "started")
DONE = _event(101, -1, "done")


@pytest.mark.parametrize(
    ("sentence", "events", "readings"),
    [
        ("events in order are shown", [STARTED, _event(101, 1), _event(101, 2)], ["show", "show", "show"]),
        ("the last event ends the call", [STARTED, DONE], ["show", "end"]),
        ("after the end all is dropped", [DONE, STARTED, _event(102, -1, "failed")], ["end", "drop", "drop"]),
        ("an event of an earlier life is dropped", [_event(99, -1, "failed"), STARTED], ["drop", "show"]),
        ("a last event of the millisecond of opening is looked up", [_event(100, -1, "failed")], ["look"]),
        ("a large outcome is looked up", [_event(101, -1, "done", "look")], ["look"]),
        ("a lower epoch is dropped", [_event(102, 0, "started"), _event(101, 1), DONE], ["show", "drop", "drop"]),
        (
            "a higher epoch restarts what was shown",
            [STARTED, _event(101, 1), _event(102, 0, "started"), _event(102, 1)],
            ["show", "show", "restart", "show"],
        ),
        ("a higher epoch after nothing shown is plain", [STARTED, _event(102, 0, "started")], ["show", "show"]),
        ("a gap ends the deltas", [STARTED, _event(101, 2), _event(101, 1), DONE], ["show", "look", "drop", "end"]),
        ("the next epoch heals a gap", [STARTED, _event(101, 2), _event(103, 0, "started")], ["show", "look", "show"]),
        (
            "an event that comes twice is shown once",
            [STARTED, _event(101, 1), _event(101, 1)],
            ["show", "show", "drop"],
        ),
        (
            "a higher epoch whose beginning is missing only ends what was shown",
            [STARTED, _event(101, 1), _event(102, 1), _event(102, 2)],
            ["show", "show", "forget", "drop"],
        ),
        ("a first event that is not the first is a gap", [_event(101, 3), _event(101, 4)], ["look", "drop"]),
    ],
)
def test_order(sentence: str, events: list[Event], readings: list[str]) -> None:
    order = Order(floor=FLOOR)
    assert [order.read(event) for event in events] == [Reading(reading) for reading in readings], sentence
