"""Rows out of files: formats, names of columns, and everything that can be wrong with a line."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from bot_client.batch.lines import MAX_LINE, Lines
from bot_client.batch.reading import Rejected, Shape, format_of, read_rows, read_time
from bot_client.batch.row import Row
from understudy.contracts.moderation import ModerationRequest
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path


async def read(path: Path, data: bytes | str, **shape: Any) -> list[Row | Rejected]:
    """The rows of a file with this content."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    given = Shape(format_of(path.name), **shape)
    with closing(Lines(str(path))) as lines:
        await lines.start(65_536)
        return [row async for row in read_rows(lines, given)]


def told(rows: list[Row | Rejected]) -> list[tuple[int, Any]]:
    """Line and id, or line and why it is broken."""
    return [(row.number, row.why if isinstance(row, Rejected) else row.id) for row in rows]


async def test_json_lines_give_rows_and_broken_ones_are_named_with_their_line(tmp_path: Path) -> None:
    lines = [
        b'{"id": 1, "text": "hello"}',
        b'{"id": "b", "text": "hello", "chat": "bakers", "user": "Ann", "context": "hi", "rules": "be kind"}',
        b"",
        b'{"id": 3, "text": "cut o',
        b'{"text": "nobody"}',
        b'{"id": 4.5, "text": "x"}',
        b"[1, 2]",
        b'{"id": 5, "text": "\xff"}',
        b'{"id": 6, "text": ""}\r',
        b'{"id": 7, "text": "last, without an end of line"}',
    ]
    rows = await read(tmp_path / "a.jsonl", b"\n".join(lines))
    assert told(rows) == [
        (1, 1),
        (2, "b"),
        (4, "It is no JSON object."),
        (5, "id is missing."),
        (6, "id must be text or a whole number."),
        (7, "It is no JSON object."),
        (8, "It is no UTF-8 text."),
        (9, 6),
        (10, 7),
    ]
    second, empty = rows[1], rows[7]
    assert isinstance(second, Row)
    assert isinstance(second.request, ModerationRequest)
    asked = second.request
    assert (asked.chat_title, asked.author, asked.reply_to, asked.rules) == ("bakers", "Ann", "hi", "be kind")
    assert isinstance(empty, Row)
    assert empty.request is None
    assert "text" in empty.fault


async def test_rows_that_ask_the_same_have_the_same_content(tmp_path: Path) -> None:
    texts: list[dict[str, Any]] = [{"text": "a"}, {"text": "a"}, {"text": "a", "rules": "x"}, {"text": "b"}]
    lines = [{"id": number, **text} for number, text in enumerate(texts)]
    rows = await read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))
    contents = [row.content for row in rows if isinstance(row, Row)]
    assert contents[0] == contents[1]
    assert len(set(contents)) == 3


async def test_csv_has_a_header_and_quoted_fields_over_several_lines(tmp_path: Path) -> None:
    data = 'id,text\n1,"two\nlines, ""quoted"""\n2,plain\n3\n4,"never closed\n'
    rows = await read(tmp_path / "a.csv", data)
    assert told(rows) == [
        (2, "1"),
        (4, "2"),
        (5, "It has 1 columns; the header has 2."),
        (6, "A quotation mark is opened and not closed."),
    ]
    assert isinstance(rows[0], Row)
    assert rows[0].request.text == 'two\nlines, "quoted"'  # type: ignore[union-attr]


async def test_tsv_without_header_and_without_ids_is_read_by_named_columns(tmp_path: Path) -> None:
    data = 'ham\tGo "now"\nspam\tWin!\n'
    rows = await read(tmp_path / "a.tsv", data, header=("label", "v2"), columns={"text": "v2", "id": "line"})
    assert told(rows) == [(1, 1), (2, 2)]
    assert rows[0].request.text == 'Go "now"'  # type: ignore[union-attr]


async def test_a_column_that_is_not_there_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"has no column text \(line 1\): name it with --map text=COLUMN"):
        await read(tmp_path / "a.csv", "id,message\n1,a\n")
    with pytest.raises(InvalidRequest, match="--map knows id, text, chat"):
        Shape(columns={"label": "a"})


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "is empty"), (b"\n \n", "is empty"), ("id".encode("utf-16"), "no UTF-8 text"), (b"\x1f\x8bxx", "unpacked")],
)
async def test_an_input_that_cannot_be_used_is_refused_as_a_whole(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        await read(tmp_path / "a.jsonl", data)


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"gone\.jsonl cannot be read: No such file"):
        await Lines(str(tmp_path / "gone.jsonl")).start(1)


async def test_gzip_is_read_as_it_is_and_an_early_end_is_told(tmp_path: Path) -> None:
    packed = gzip.compress(b'\xef\xbb\xbf{"id": 1, "text": "a"}\n' * 1_000)
    assert len(await read(tmp_path / "a.jsonl.gz", packed)) == 1_000
    with pytest.raises(InvalidRequest, match="damaged, or ends too early"):
        await read(tmp_path / "b.jsonl.gz", packed[:-9])


async def test_a_line_of_any_length_takes_no_more_memory_than_the_limit(tmp_path: Path) -> None:
    data = b'{"id": 1, "text": "' + b"x" * (2 * MAX_LINE) + b'"}\n{"id": 2, "text": "a"}\n'
    assert told(await read(tmp_path / "a.jsonl", data)) == [(1, "It is longer than 4,000,000 bytes."), (2, 2)]


async def test_since_and_limit_leave_rows_out(tmp_path: Path) -> None:
    times: list[Any] = ["2026-11-01", "2026-11-02T10:00:00Z", 1_793_700_000, None, "soon"]
    data = "\n".join(json.dumps({"id": i, "text": "a", "date": at}) for i, at in enumerate(times))
    since = datetime(2026, 11, 2, tzinfo=UTC)
    rows = await read(tmp_path / "a.jsonl", data, since=since)
    needs = "and --since needs"
    assert [str(what).replace("time is missing, " + needs + " it.", "?") for _, what in told(rows)][:2] == ["1", "2"]
    assert [needs in str(what) for _, what in told(rows)] == [False, False, True, True]
    assert len(await read(tmp_path / "a.jsonl", data, limit=2)) == 2
    assert read_time("2026-11-02T12:00:00+02:00") == datetime(2026, 11, 2, 10, tzinfo=UTC)
