"""One row of a batch: a message to be judged, under the id that its verdict gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from understudy.contracts import KINDS
from understudy.contracts.kind import request_hash
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from pydantic import BaseModel

RowId = str | int

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "message_id"),
    "text": ("text",),
    "chat": ("chat", "chat_title"),
    "user": ("user", "author"),
    "rules": ("rules",),
    "context": ("context", "reply_to"),
    "time": ("time", "date"),
}
"""What a row may say, and under which names it is looked for where nobody says otherwise."""

_REQUEST = {"text": "text", "chat": "chat_title", "user": "author", "rules": "rules", "context": "reply_to"}

_KIND = KINDS["moderation"]


@dataclass(frozen=True)
class Row:
    """A row that was read.

    Args:
        id: of the message; its verdict has it too.
        number: of its line, or its place among the messages; counted from 1.
        request: what is asked; None where the row breaks the contract.
        fault: the sentence about that.
        time: as the input says it; empty without.
    """

    id: RowId
    number: int
    request: BaseModel | None
    fault: str = ""
    time: str = ""
    content: str = field(default="", repr=False)
    """The hash of text, rules and context: rows that have the same are one question."""


def read_row(given: Any, number: int, *, rules: str | None = None, columns: Mapping[str, str] | None = None) -> Row:
    """Read a row.

    Args:
        given: a mapping with id and text, or the text alone, whose id is its number.
        rules: of rows that bring none.
        columns: the name under which a row has a field, where it is another.

    Raises:
        InvalidRequest: it has no id, so that nobody would know its verdict.
    """
    if isinstance(given, str):
        given = {"id": number, "text": given}
    if not isinstance(given, Mapping):
        raise InvalidRequest("A row must be an object with id and text.")
    names = {name: ((columns or {}).get(name, ""), *known) for name, known in COLUMNS.items()}
    found = {
        name: next((given[key] for key in keys if given.get(key) is not None), None) for name, keys in names.items()
    }
    row_id = found["id"]
    if not isinstance(row_id, str | int) or isinstance(row_id, bool) or row_id == "":
        raise InvalidRequest(f"{'id is missing' if row_id in (None, '') else 'id must be text or a whole number'}.")
    fields = {field: found[name] for name, field in _REQUEST.items() if found[name] is not None}
    if rules is not None and not fields.get("rules"):
        fields["rules"] = rules
    time = str(found["time"] or "")
    try:
        request = _KIND.parse(fields)
    except InvalidRequest as error:
        return Row(row_id, number, None, str(error), time)
    return Row(row_id, number, request, "", time, request_hash(_KIND.name, request))
