"""A prompt with a long history, trimmed to the window of the model that is to read it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from understudy.window import fitting
from workers.failures import ProviderFailure, row

if TYPE_CHECKING:
    from understudy.providers import Provider
    from workers.kind_work import Prompt


def fitted(prompt: Prompt, provider: Provider, max_tokens: int | None) -> Prompt:
    """The prompt as the provider gets it: where it may be trimmed, without the oldest exchanges that would not fit.

    Ollama cuts a prompt that is too long without a word, the system prompt first.

    Args:
        max_tokens: of the answer.

    Raises:
        ProviderFailure: not even the newest exchange fits; nothing was sent.
    """
    if not prompt.trims:
        return prompt
    messages = fitting(prompt.messages, provider.context_window, tools=prompt.tools, max_tokens=max_tokens)
    if messages is None:
        window = f"{provider.context_window:,} tokens"
        raise ProviderFailure(
            row("context_too_long"), f"its newest exchange alone is longer than the window of {window}", requests=0
        )
    return replace(prompt, messages=[dict(message) for message in messages])
