"""Rows out of an input: JSON lines, CSV or TSV."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot_client.batch.lines import MAX_LINE, Lines
from bot_client.batch.row import COLUMNS, Row, read_row
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

FORMATS = ("jsonl", "csv", "tsv")
_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "tsv", ".tab": "tsv"}

LINE = "line"
"""What `id` is mapped to where the number of the line is the id."""

MAX_RECORD_LINES = 1_000
"""Of one row of CSV: more is a quotation mark that nobody closed."""

RAW_CHARS = 2_000
"""Of a broken line that are kept with the reason."""


@dataclass(frozen=True)
class Rejected:
    """A row that has no verdict because nobody could say whose it is.

    Args:
        number: of its line.
        why: one sentence.
    """

    number: int
    why: str
    raw: str = ""


@dataclass(frozen=True)
class Shape:
    """What an input looks like.

    Args:
        format: one of `FORMATS`.
        columns: field → the name that the input has for it; `id` → `line` takes the line's number.
        header: the names of the columns of a table without a header.
        since: rows with an earlier time are left out.
        limit: rows that are read at most.
    """

    format: str = "jsonl"
    columns: Mapping[str, str] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    rules: str | None = None
    since: datetime | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in COLUMNS:
                raise InvalidRequest(f"remoderate: --map knows {', '.join(COLUMNS)}, not {name[:40]}.")


def format_of(path: str) -> str:
    """The format of a file by its name; JSON lines where it says nothing."""
    name = path.lower().removesuffix(".gz")
    return next((found for suffix, found in _SUFFIXES.items() if name.endswith(suffix)), "jsonl")


async def read_rows(lines: Lines, shape: Shape) -> AsyncIterator[Row | Rejected]:
    """The rows of an input, and those that are broken."""
    count = 0
    records = objects_in(lines) if shape.format == "jsonl" else _table(lines, shape)
    async for number, given, raw in records:
        if shape.limit is not None and count >= shape.limit:
            return
        if isinstance(given, Rejected):
            yield given
            continue
        try:
            if shape.columns.get("id") == LINE and isinstance(given, dict):
                given[LINE] = number
            row = read_row(given, number, rules=shape.rules, columns=shape.columns)
            if shape.since and _time(row.time) < shape.since:
                continue
        except InvalidRequest as error:
            yield _rejected(number, str(error), raw)
            continue
        count += 1
        yield row


async def objects_in(lines: Lines) -> AsyncIterator[tuple[int, Any, str]]:
    """The objects of JSON lines, each with its line's number, or why the line is none, and as it stands there."""
    async for line in lines:
        text = _decoded(line.data)
        if text is None or isinstance(text, Rejected):
            yield line.number, _broken(line.number, text), ""
        elif text.strip():
            try:
                given = json.loads(text)
            except ValueError:
                yield line.number, _rejected(line.number, "It is no JSON object.", text), text
            else:
                if not isinstance(given, dict):
                    given = _rejected(line.number, "It is no JSON object.", text)
                yield line.number, given, text


async def _table(lines: Lines, shape: Shape) -> AsyncIterator[tuple[int, Any, str]]:
    names: Sequence[str] = shape.header
    async for number, fields, raw in fields_in(lines, shape.format):
        if isinstance(fields, Rejected):
            yield number, fields, raw
        elif not names:
            names = fields
            _check_header(names, shape, lines)
        elif len(fields) != len(names):
            why = f"It has {len(fields)} columns; the header has {len(names)}."
            yield number, _rejected(number, why, raw), raw
        else:
            # An empty cell says nothing.
            yield number, {name: value for name, value in zip(names, fields, strict=True) if value != ""}, raw


def _check_header(names: Sequence[str], shape: Shape, lines: Lines) -> None:
    for wanted in ("id", "text"):
        known = (shape.columns.get(wanted, ""), *COLUMNS[wanted])
        if not set(known) & set(names) and shape.columns.get(wanted) != LINE:
            raise InvalidRequest(
                f"{lines.said} has no column {shape.columns.get(wanted) or wanted} (line 1): name it with --map"
                f" {wanted}=COLUMN{', or number the rows with --map id=line' if wanted == 'id' else ''}; where it has"
                " no header, name its columns with --columns."
            )


async def fields_in(lines: Lines, form: str) -> AsyncIterator[tuple[int, Any, str]]:
    """The fields of each record of a table, with its line's number, or why it is none, and as it stands there."""
    held: list[str] = []
    first = 0
    async for line in lines:
        text = _decoded(line.data)
        if text is None or isinstance(text, Rejected):
            yield line.number, _broken(line.number, text), ""
            continue
        if form == "tsv":
            if text:
                yield line.number, text.split("\t"), text
            continue
        if not held and not text:
            continue
        first = first if held else line.number
        held.append(text + "\n")
        fields = _csv(held)
        if fields is None and len(held) < MAX_RECORD_LINES:
            continue
        raw, held = "".join(held), []
        if fields is None:
            why = "A quotation mark is opened and not closed."
            yield first, _rejected(first, why, raw), raw
        else:
            yield first, fields, raw
    if held:
        raw = "".join(held)
        yield first, _rejected(first, "A quotation mark is opened and not closed.", raw), raw


def _csv(held: Sequence[str]) -> list[str] | None:
    """The fields of a record; None where it goes on in the next line."""
    csv.field_size_limit(MAX_LINE)
    try:
        return next(csv.reader(held, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            return None
    return next(csv.reader(held))


def _decoded(data: bytes | None) -> str | Rejected | None:
    if data is None:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return Rejected(0, "It is no UTF-8 text.", data.decode("utf-8", "replace")[:RAW_CHARS])


def _broken(number: int, what: Rejected | None) -> Rejected:
    if what is None:
        return Rejected(number, f"It is longer than {MAX_LINE:,} bytes.")
    return Rejected(number, what.why, what.raw)


def _rejected(number: int, why: str, raw: str) -> Rejected:
    return Rejected(number, why, raw[:RAW_CHARS])


def read_time(text: str) -> datetime:
    """A time as exports write it: ISO 8601, UTC where it names no zone, or seconds since 1970.

    Raises:
        ValueError: it is neither.
    """
    if text.replace(".", "", 1).isdigit() and len(text) > 8:
        return datetime.fromtimestamp(float(text), UTC)
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _time(text: str) -> datetime:
    if not text:
        raise InvalidRequest("time is missing, and --since needs it.")
    try:
        return read_time(text)
    except (ValueError, OverflowError):
        raise InvalidRequest("time is no ISO 8601 time, and --since needs one.") from None
