"""The moderation endpoint of a stand-in: what is asked of it, and what it finds by simple rules."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from workers.stand_in.answers import verdict
from workers.stand_in.ask import Ask, AskError, fingerprint_of
from workers.stand_in.fate import Answer

if TYPE_CHECKING:
    from workers.stand_in.fate import Fate

MODERATIONS: Final = "/v1/moderations"
SCREENING: Final = "screening"
CATEGORIES: Final = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)


def read_screen(raw: bytes) -> Ask:
    """Understand the body of a moderation request for one text.

    Raises:
        AskError: it is not JSON, or lacks what the API requires.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise AskError("the body must be JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("input"), str) or not body["input"]:
        raise AskError("input must be a text")
    text, model = body["input"], body.get("model")
    return Ask(
        model=model if isinstance(model, str) else "omni-moderation-latest",
        kind=SCREENING,
        newest=text,
        subject=text,
        messages=1,
        prompt_tokens=0,
        max_tokens=None,
        stream=False,
        include_usage=False,
        longest_name=0,
        fingerprint=fingerprint_of(text),
    )


def found(ask: Ask, fate: Fate) -> dict[str, Any]:
    """What the endpoint answers: abusive words are harassment, a category that the text names (`[hate]`) is flagged."""
    abusive = verdict(ask.subject)["violation"] == "toxic"
    flagged = {name: f"[{name}]" in ask.subject or (abusive and name == "harassment") for name in CATEGORIES}
    result: dict[str, Any] = {
        "flagged": any(flagged.values()),
        "categories": flagged,
        "category_scores": {name: 0.98 if value else 0.001 for name, value in flagged.items()},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }
    if fate.answer == Answer.WRONG_SCHEMA:
        result = {"unexpected": True}
    return {"id": "modr-stand-in", "model": ask.model, "results": [] if fate.answer == Answer.EMPTY else [result]}
