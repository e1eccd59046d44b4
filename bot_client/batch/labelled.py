"""Labelled messages: what people said of each, to compare with what models say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot_client.batch.reading import Rejected, fields_in, format_of, objects_in
from bot_client.batch.row import read_row
from understudy.contracts.moderation import Violation
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pydantic import BaseModel

    from bot_client.batch.lines import Lines

NONE, ANY = "none", "any"
"""Expected of a message: no violation, or one of whatever kind."""

VIOLATIONS = tuple(violation.value for violation in Violation)
EXPECTED = (NONE, ANY, *VIOLATIONS)

KNOWN = {
    **dict.fromkeys(("ham", "ok", "clean", "none", "no", "good", "allow", "0", "false", "negative"), NONE),
    **dict.fromkeys(("bad", "any", "yes", "flagged", "delete", "warn", "1", "true", "positive"), ANY),
    **{violation: violation for violation in VIOLATIONS},
}
"""Labels that need no map."""

COLUMNS = ("label", "text")
_SHORT = re.compile(r"[\w.-]{1,20}")


@dataclass(frozen=True)
class Labelled:
    """One labelled message.

    Args:
        number: of its line; its id.
        expected: one of `EXPECTED`.
        message: as `remoderate` takes it.
    """

    number: int
    label: str
    expected: str
    message: Mapping[str, Any]
    request: BaseModel = field(repr=False)


async def read_labelled(lines: Lines, labels: Mapping[str, str] | None = None) -> list[Labelled]:
    """All messages of a file of JSON lines, CSV or TSV; a table without a header has the columns label and text.

    Args:
        labels: label → what is expected, beside those known.

    Raises:
        InvalidRequest: a line has no label that is known, or no text; its number is named.
    """
    known = KNOWN | {name.lower(): expected for name, expected in (labels or {}).items()}
    return [_labelled(number, given, known, lines.said) async for number, given in _rows(lines)]


def sample_of(rows: Sequence[Labelled], size: int | None) -> list[Labelled]:
    """So many rows, taken evenly from all of them: the same each time."""
    if size is None or size >= len(rows):
        return list(rows)
    return [rows[i * len(rows) // size] for i in range(size)]


def label_map(text: str) -> dict[str, str]:
    """A map of labels as people write it: `ham=none,junk=spam`.

    Raises:
        InvalidRequest: it is written otherwise.
    """
    found = {}
    for part in text.split(","):
        name, equals, expected = (piece.strip() for piece in part.partition("="))
        if not name or not equals or expected not in EXPECTED:
            raise InvalidRequest(
                f"evaluate: --label-map takes LABEL=EXPECTED, where EXPECTED is one of {', '.join(EXPECTED)}."
            )
        found[name] = expected
    return found


async def _rows(lines: Lines) -> AsyncIterator[tuple[int, Mapping[str, Any]]]:
    await lines.start(1)
    form = format_of(lines.path)
    names: Sequence[str] | None = None
    async for number, given, _ in objects_in(lines) if form == "jsonl" else fields_in(lines, form):
        if isinstance(given, Rejected):
            raise InvalidRequest(f"{lines.said}, line {number:,}: {given.why}")
        if isinstance(given, Mapping):
            yield number, given
        elif names is None and set(COLUMNS) <= set(given):
            names = given
        else:
            names = names or COLUMNS
            if len(given) != len(names):
                why = f"it has {len(given)} columns, not {len(names)} ({', '.join(names[:9])})"
                raise InvalidRequest(f"{lines.said}, line {number:,}: {why}.")
            yield number, dict(zip(names, given, strict=True))


def _labelled(number: int, given: Mapping[str, Any], known: Mapping[str, str], said: str) -> Labelled:
    value = given.get("label")
    label = "" if value is None else str(value).strip()
    expected = known.get(label.lower())
    if expected is None:
        # what stands in the wrong column may be what a user wrote
        name = f"the label {label}" if _SHORT.fullmatch(label) else "its label"
        raise InvalidRequest(
            f"{said}, line {number:,}: {name} is not known; say what is expected with --label-map LABEL=EXPECTED."
        )
    message = {name: value for name, value in given.items() if name != "label" and value != ""} | {"id": number}
    row = read_row(message, number)
    if row.request is None:
        raise InvalidRequest(f"{said}, line {number:,}: {row.fault}")
    return Labelled(number, label, expected, message, row.request)
