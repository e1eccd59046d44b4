"""The output of a batch job: whole lines, one writer, and what it belongs to."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from bot_client.batch.marks import Marks
from bot_client.batch.output import Output, OutputFull, fingerprint
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = b'{"id": 1}\n'


def about(job: str = "a", first: bytes = FIRST, rules: str = "") -> dict[str, Any]:
    """What an output belongs to."""
    return {"job": job, "input": f"{len(first)}:{fingerprint(first)}", "rules": rules, "shape": ""}


def opened(path: Path, *, first: bytes = FIRST, restart: bool = False, **more: Any) -> tuple[Output, bool]:
    """An output, and whether it goes on."""
    output = Output(path)
    return output, output.open(about(first=first, **more), first, restart=restart)


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    """One that has two lines."""
    output, goes_on = opened(tmp_path / "out.jsonl")
    assert not goes_on
    output.append(['{"id":1,"verdict":"none"}', '{"id":2,"error":{"cause":"deadline"}}'])
    yield output
    output.close()


def test_an_earlier_run_is_gone_on_with_under_its_own_job(output: Output) -> None:
    output.close()
    again, goes_on = opened(output.path, job="b", first=FIRST + b"grown")
    assert (goes_on, again.about["job"]) == (True, "a")
    assert [row["id"] for _, _, row in again.written()] == [1, 2]
    places = [place for _, place, _ in again.written()]
    assert [again.line_at(place)["id"] for place in places] == [1, 2]
    again.close()


def test_half_a_line_is_cut_off_and_whatever_else_is_no_verdict_is_named(output: Output) -> None:
    output.close()
    with output.path.open("ab") as file:
        file.write(b'{"id":3,"verd')
    again, _ = opened(output.path)
    assert len(list(again.written())) == 2
    again.close()
    with output.path.open("ab") as file:
        file.write(b"my notes\n")
    again, _ = opened(output.path)
    with pytest.raises(InvalidRequest, match=r"something else than verdicts.*line 3"):
        list(again.written())
    again.close()


def test_a_second_run_at_the_same_time_is_refused(output: Output) -> None:
    with pytest.raises(InvalidRequest, match="being written by another run"):
        opened(output.path)


@pytest.mark.parametrize(
    ("given", "why"),
    [({"first": b'{"id": 9}\n'}, "belongs to other input"), ({"rules": "x"}, "belongs to other rules")],
)
def test_an_output_that_belongs_to_other_things_is_left_alone(output: Output, given: dict[str, Any], why: str) -> None:
    output.close()
    before = output.path.read_bytes()
    with pytest.raises(InvalidRequest, match=why):
        opened(output.path, **given)
    assert output.path.read_bytes() == before
    again, goes_on = opened(output.path, restart=True, **given)
    assert (goes_on, output.path.read_bytes()) == (False, b"")
    again.close()


def test_a_file_that_no_job_has_written_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "precious.jsonl"
    path.write_text("mine\n")
    with pytest.raises(InvalidRequest, match="is there already"):
        opened(path)
    assert path.read_text() == "mine\n"


def test_a_full_disk_leaves_whole_lines_and_says_what_to_do(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write, room = output.path.read_bytes(), os.write, 10

    def full(file: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        fits, room = room, 0
        return write(file, data[:fits])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputFull, match=r"No space left on device.*whole lines"):
        output.append(['{"id":3,"verdict":"none"}'])
    assert output.path.read_bytes() == before


def test_lines_are_left_out_to_ask_their_rows_again(output: Output) -> None:
    output.without({2})
    output.append(['{"id":2,"verdict":"none"}'])
    assert [json.loads(line)["verdict"] for line in output.path.read_text().splitlines()] == ["none", "none"]


def test_a_broken_row_is_noted_in_the_side_file(output: Output) -> None:
    output.reject(7, "It is no JSON object.", "{oops")
    noted = json.loads(output.rejected_path.read_text())
    assert noted == {"line": 7, "why": "It is no JSON object.", "raw": "{oops"}


def test_ids_are_marked_once_whether_text_or_number() -> None:
    marks = Marks()
    assert marks.add(1, 10)
    assert not marks.add("1", 20)
    assert (marks.number("1"), marks.number(2), len(marks)) == (10, None, 1)
    marks.close()
