"""The frame around what users and tools wrote: a model reads it as data, and nothing in it can end it."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_REMEMBERED = 20_000
"""Characters: more than any text needs, and little memory."""

_STRUCTURAL = frozenset("<>[]")
"""What chat templates build their control tokens from (`<|im_end|>`, `</s>`, `[INST]`). Some servers still recognise
such a token within the text of a message, and would take what follows for another speaker's."""


def quoted(text: str) -> str:
    """The text as a JSON string on one line, without any character that could act instead of being read.

    Besides what JSON escapes: control tokens' brackets, and invisible characters, which may hide words from people.
    """
    return json.dumps(text, ensure_ascii=False).translate(_escapes)


def framed(name: str, fields: Mapping[str, str | None]) -> str:
    """The fields as a JSON object between two marks that the fields cannot contain.

    The marks carry a hash of the content: who writes a closing mark into a message changes the hash with it. The same
    content gives the same frame, which keeps prompts cacheable.

    Args:
        name: what the frame holds, such as `message`.
        fields: in the order in which they shall stand; those that are None are left out.
    """
    body = ",\n".join(f"  {quoted(key)}: {quoted(value)}" for key, value in fields.items() if value is not None)
    mark = f"{name}-{hashlib.sha256(body.encode()).hexdigest()[:16]}"
    return f"<{mark}>\n{{\n{body}\n}}\n</{mark}>"


def _escaped(char: str) -> str:
    # Joiners are part of words in Persian and Hindi, and of emoji.
    is_hidden = unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") and char not in "\u200c\u200d"
    if not is_hidden and char not in _STRUCTURAL:
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))


class _Escapes(dict[int, str]):
    """What becomes of each character, remembered: a long text is read at the speed of `str.translate`."""

    def __missing__(self, code: int) -> str:
        escaped = _escaped(chr(code))
        if len(self) < MAX_REMEMBERED:
            self[code] = escaped
        return escaped


_escapes = _Escapes()
