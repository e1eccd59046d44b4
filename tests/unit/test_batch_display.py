"""A job's progress as people, logs and machines see it."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

from rich.console import Console

from bot_client.batch.display import LINE_S, REDRAW_S, Drawing, Events, Lines
from bot_client.batch.picture import picture, sentence
from bot_client.batch.progress import Progress


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def progress_at(clock: Clock, **changes: Any) -> Progress:
    """Twenty seconds into a job, 50 rows a second."""
    progress = Progress(job="j1", name="messages.jsonl", clock=clock)
    clock.now += 20
    given: dict[str, Any] = {
        "total": 5_574, "done": 1_000, "asked": 900, "shared": 97, "rejected": 3, "window": 16, "in_flight": 14,
        "providers": Counter(ollama=900, openai=97), "verdicts": Counter(none=800, delete=197),
        "errors": Counter(no_provider=3), "cost_microusd": 1_230_000, "state": "waiting", "why": "ollama is out",
    }  # fmt: skip
    for name, value in (given | changes).items():
        setattr(progress, name, value)
    return progress


def console(*, terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(), width=100, force_terminal=terminal, markup=False, highlight=False, color_system=None
    )


def text_of(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


def test_the_drawing_tells_how_far_how_fast_who_answered_what_and_why_it_waits() -> None:
    out = console()
    out.print(picture(progress_at(Clock())))
    assert [line.rstrip() for line in text_of(out).splitlines()] == [
        "messages.jsonl  waiting (ollama is out)",
        "━━━━━━━                                   1,000 of 5,574 (18 %)",
        "50.0/s, 1 min 31 s left, 20 s gone",
        "window 16, 14 in flight, cost $1.23",
        "verdicts   none 800 (80 %), delete 197 (20 %)",
        "providers  ollama 900 (90 %), openai 97 (10 %)",
        "errors     no_provider 3 (100 %)",
        "calls      900 asked, 97 answered with another row, 3 broken",
    ]


def test_without_a_total_there_is_no_bar_and_no_time_left() -> None:
    out = console()
    out.print(picture(progress_at(Clock(), total=None)))
    assert text_of(out).splitlines()[1].rstrip() == "1,000 rows"
    assert "left" not in text_of(out)


def test_one_line_tells_it_all_too() -> None:
    assert sentence(progress_at(Clock())) == (
        "waiting (ollama is out); 1,000 of 5,574 (18 %); 50.0/s, 1 min 31 s left, 20 s gone; window 16; cost $1.23; "
        "verdicts: none 800 (80 %), delete 197 (20 %); providers: ollama 900 (90 %), openai 97 (10 %); "
        "errors: no_provider 3 (100 %)"
    )


def test_a_name_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in sentence(progress_at(Clock(), why="\x1b[2J", verdicts=Counter({"\x1b[2J": 1})))


def test_a_log_gets_a_line_a_minute_and_one_at_each_change_of_state() -> None:
    out, clock = console(), Clock()
    out.width = 1_000
    progress = progress_at(clock, state="running", why="")
    lines = Lines(out, clock)
    lines.start(progress)
    for _ in range(130):
        clock.now += 1
        lines.update(progress)
    progress.state = "waiting"
    for _ in range(3):
        lines.update(progress)
    lines.note("It costs nothing.")
    states = [line.split(";")[0] for line in text_of(out).splitlines()]
    assert states == ["running", "running", "running", "waiting", "It costs nothing."]
    assert LINE_S == 60


def test_the_summary_tells_how_it_ended() -> None:
    out, clock = console(), Clock()
    progress = progress_at(clock, done=5_571, resumed=571)
    progress.end("done")
    Lines(out, clock).end(progress)
    assert [" ".join(line.split()) for line in text_of(out).splitlines()[:5]] == [
        "job j1 messages.jsonl",
        "ended done",
        "rows 5,571 of 5,574 (100 %), 571 by earlier runs",
        "took 20 s, 250.0/s",
        "cost $1.23",
    ]


def test_a_machine_gets_an_event_a_second_and_one_at_each_change_of_state() -> None:
    told: list[dict[str, Any]] = []
    clock = Clock()
    progress = progress_at(clock, state="running", why="")
    events = Events(lambda text: told.append(json.loads(text)), clock)
    events.start(progress)
    for _ in range(20):
        clock.now += 0.25
        events.update(progress)
    progress.state = "waiting"
    events.update(progress)
    events.note("Ü")
    progress.end("done")
    events.end(progress)
    assert [event["event"] for event in told] == ["started", *["progress"] * 6, "note", "ended"]
    assert told[-2] == {"event": "note", "text": "Ü"}
    assert told[-1] == {"event": "ended", **progress.as_dict()}
    assert told[-1]["state"] == "done"


def test_a_terminal_is_redrawn_a_few_times_a_second_and_ends_with_the_summary() -> None:
    out, clock = console(terminal=True), Clock()
    progress = progress_at(clock)
    drawing = Drawing(out, clock)
    drawing.start(progress)
    progress.window = 77
    drawing.update(progress)
    assert "window 77" not in text_of(out)
    clock.now += REDRAW_S
    drawing.update(progress)
    assert "window 77" in text_of(out)
    progress.end("cancelled", "by ann")
    drawing.end(progress)
    assert "cancelled (by ann)" in text_of(out)
