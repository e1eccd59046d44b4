"""Characters as a reader counts them, so that a cut never splits one."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ZWJ = "\u200d"
_VIRAMA = 9
"""The canonical combining class of the signs that fuse two consonants."""

_HANGUL_JAMO = re.compile("[\u1100-\u11ff\ua960-\ua97f\ud7b0-\ud7ff]")


def graphemes(text: str) -> Iterator[str]:
    """Split a text into what its reader sees as single characters.

    Keeps together: combining marks, emoji with skin tones, variation selectors, tag sequences and zero-width joiners,
    flags, Hangul built of jamo, Indic conjuncts. A short form of the rules of Unicode's UAX 29 on the tables that
    Python carries; where the two differ, this one keeps more together.
    """
    if text.isascii() and "\r" not in text:
        yield from text
        return
    cluster = ""
    for char in text:
        if cluster and not _joins(cluster, char):
            yield cluster
            cluster = ""
        cluster += char
    if cluster:
        yield cluster


def head(text: str, limit: int) -> str:
    """The longest beginning of whole graphemes that has at most `limit` code points."""
    length = 0
    for cluster in graphemes(text):
        if length + len(cluster) > limit:
            break
        length += len(cluster)
    return text[:length]


def _joins(cluster: str, char: str) -> bool:
    last = cluster[-1]
    if char == "\n":
        return last == "\r"
    if unicodedata.category(last) in ("Cc", "Zl", "Zp"):
        return False
    if _extends(char):
        return True
    if last == _ZWJ:
        return len(cluster) > 1 and not char.isspace()
    if _is_regional(last) and _is_regional(char):
        return len(cluster) % 2 == 1
    if unicodedata.combining(last) == _VIRAMA:
        return unicodedata.category(char) == "Lo"
    return _joins_hangul(last, char)


def _extends(char: str) -> bool:
    return (
        unicodedata.category(char)[0] == "M"
        or char in ("\u200c", _ZWJ)
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= char <= "\U000e007f"  # tags: the flags of Scotland and Wales
        or char in "\uff9e\uff9f"  # half-width voicing marks of katakana
    )


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _joins_hangul(last: str, char: str) -> bool:
    if not _HANGUL_JAMO.match(char):
        return False
    is_leading = "\u1100" <= char <= "\u115f" or "\ua960" <= char <= "\ua97f"
    if is_leading:
        return "\u1100" <= last <= "\u115f" or "\ua960" <= last <= "\ua97f"
    return bool(_HANGUL_JAMO.match(last)) or "\uac00" <= last <= "\ud7a3"
