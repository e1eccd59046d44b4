"""What tools have done within a call, as its record holds it: the next attempt goes on from there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from understudy.contracts.call import Usage
from understudy.state.lua import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from understudy.state.ledger import Ledger

MAX_BYTES = 500_000
"""Of all rows of one call: all of it lies in Redis, and goes into each further prompt."""


@dataclass(frozen=True)
class Turn:
    """A model turn that called tools.

    Args:
        message: the assistant's, in the form of the chat completions API.
        model, usage: as in an outcome.
    """

    message: dict[str, Any]
    model: str
    usage: Usage


@dataclass(frozen=True)
class Start:
    """A tool began to run; `call` is the id of the tool call."""

    call: str
    idempotent: bool


@dataclass(frozen=True)
class End:
    """What the model is told of a tool call.

    Args:
        ok: whether the tool ran to its end.
        output: what it returned, or what went wrong.
        note: what is to be said about the output, such as that it was cut.
    """

    call: str
    ok: bool
    output: str
    note: str = ""


Row = Turn | Start | End


def written(row: Row) -> str:
    """A row as the record holds it."""
    if isinstance(row, Turn):
        fields: dict[str, Any] = {"turn": row.message, "model": row.model, "usage": row.usage.model_dump()}
    else:
        fields = {"start" if isinstance(row, Start) else "end": asdict(row)}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def read(rows: Iterable[str]) -> list[Row]:
    """The rows of a record."""
    return [_row(json.loads(row)) for row in rows]


def _row(fields: dict[str, Any]) -> Row:
    if "turn" in fields:
        return Turn(fields["turn"], fields["model"], Usage.model_validate(fields["usage"]))
    return Start(**fields["start"]) if "start" in fields else End(**fields["end"])


async def step(ledger: Ledger, call_id: str, *, epoch: int, n: int, rows: Sequence[str], turn: bool = False) -> Reply:
    """Keep rows in a call's record: ``stored``, ``lost``, ``full``, or ``gap(have)`` where Redis has lost some.

    Bears being repeated.

    Args:
        n: the number of the first row, from 1.
        turn: a model turn is among them: the cap on requests begins anew.

    Raises:
        RedisError: Redis cannot be reached.
    """
    given = {"id": call_id, "epoch": epoch, "n": n, "rows": list(rows), "max_bytes": MAX_BYTES, "turn": turn or None}
    return Reply.of(await ledger.lua("step", **given))
