"""What is sent where the same provider is asked once more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from workers.failures import ProviderFailure, Same

if TYPE_CHECKING:
    from workers.kind_work import KindWork, Prompt, Reply

RAISED_TOKENS = 4
"""The second request after an answer that was cut off at the token limit may have this many times as many."""

ASSUMED_TOKENS = 1_024
"""Where no limit was sent and the provider's own cut the answer off."""


def second_prompt(
    work: KindWork, prompt: Prompt, failure: ProviderFailure, read: Reply | None, max_tokens: int | None
) -> Prompt:
    """The prompt again: with the fault quoted, with a higher token limit, or as it was.

    Args:
        read: the answer that cannot be used; None where there was none.
        max_tokens: the limit that was sent.
    """
    if failure.row.same is Same.REASK and read is not None:
        return work.reask(prompt, read, failure.detail)
    if failure.row.same is Same.RAISE_LIMIT:
        return replace(prompt, max_tokens=(max_tokens or ASSUMED_TOKENS) * RAISED_TOKENS)
    return prompt
