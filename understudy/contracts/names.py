"""The name of a thread: what is left of a model's answer, or of a message, as a clean one-line name."""

from __future__ import annotations

import re
import unicodedata

from understudy.contracts.graphemes import graphemes, head
from understudy.contracts.text import one_line, strip_reasoning, without_format_characters

MIN_NAME = 3
"""Characters as a reader counts them; chat platforms refuse or hide shorter names."""

MAX_RAW = 500
"""Characters that are looked at for one name: more than a name needs, few enough for a hostile text to cost little."""

MAX_LINES = 20
"""Lines of an answer in which a name is looked for."""

_LABELS = (
    "(?:(?:the|a|suggested|short|thread|chat|topic|conversation|possible) )*(?:title|name|topic|subject)",
    "название(?: темы| чата)?|заголовок|тема|имя|назва|заголовок теми",
    "título|titulo|nombre|nome|tema|asunto|assunto",
    "titre|nom|sujet|titel|thema|betreff|naam|onderwerp|titolo|oggetto",
    "tytuł|temat|název|téma|naslov|başlık|konu|rubrik|tittel|emne|otsikko|aihe|cím|titlu|tiêu đề|judul",
    "标题|標題|主题|主題|题目|題目|名称|名稱|タイトル|件名|題名|제목|주제|العنوان|عنوان|כותרת|शीर्षक|ชื่อเรื่อง|หัวข้อ",
)
_LABEL = re.compile(rf"^(?:{'|'.join(_LABELS)})\s*[:：]\s*", re.IGNORECASE)
_PREAMBLE = re.compile(r"^[^:：]{1,100}[:：]\s*[\"“„«「『'*](?P<name>.+)[\"”“»」』'*][.。]?$")

_FENCE = re.compile(r"^\s*(?:```|~~~)[\w+-]*\s*$")
_LINE_MARK = re.compile(r"^(?:#{1,6}\s+|>\s*|[-*+•]\s+|\d{1,2}[.)]\s+)+")
LINK = re.compile(r"!?\[(?P<text>[^\[\]]*)\]\([^()\s]*\)")
"""A link in markdown, with the text that is shown for it."""

_HTML = re.compile(r"</?(?:b|i|u|s|em|strong|code|pre|p|br|title|name|h[1-6]|span|div)\s*/?>", re.IGNORECASE)
_STRONG = re.compile(r"(\*\*\*|\*\*|__|~~|\|\|)(?P<text>.+?)\1")
_EMPHASIS = re.compile(r"(?<![\w*])([*_])(?P<text>[^\s*_](?:[^*_]*[^\s*_])?)\1(?![\w*])")
_QUOTES = re.compile("[\"“”„‟«»‹›「」『』〝〞＂`]|(?<![^\\W_])['‘’‚‛]|['‘’‚‛](?![^\\W_])")
_LEADING = " ,;:!?…–—-·¿¡|*~、。，：；！？"
_TRAILING = " .,;:!?…–—-_|*~/\\·、。，．：；！？・،؛؟।۔"
_BRACKETS = {")": "(", "]": "[", "}": "{", "）": "（", "】": "【"}

_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "HANGUL JAMO")
"""Scripts that write words without spaces between them: like emoji, each character is a fair place for a cut."""


def clean_name(text: str, max_length: int) -> str | None:
    """A name of one line without quotes, markdown, labels, reasoning and trailing punctuation.

    Takes the first line that holds a name. The casing stays. What is too long is cut at a word, or inside one where
    that leaves too little, never inside a character.

    Args:
        text: as a model answered.
        max_length: in code points, which is what platforms and Python count.

    Returns:
        the name, or None where fewer than 3 characters are left.
    """
    lines = [line for line in strip_reasoning(text).splitlines() if line.strip() and not _FENCE.match(line)]
    lines = lines[:MAX_LINES]
    for index, line in enumerate(lines):
        is_preamble = line.rstrip(" *_").endswith((":", "：")) and index + 1 < len(lines)
        if not is_preamble and (name := shorten(_plain(line), max_length)):
            return name
    return None


def joined_name(text: str, max_length: int) -> str | None:
    """As `clean_name`, of all lines together: for a message, whose first line is often no more than a greeting."""
    # More than of one line, for marks and fences are yet to be taken out.
    lines = [_unmarked(line) for line in text[: 4 * MAX_RAW].splitlines() if not _FENCE.match(line)]
    return shorten(_plain(" ".join(line for line in lines if line)), max_length)


def shorten(line: str, max_length: int) -> str | None:
    """The line cut to `max_length` code points, without trailing punctuation; None where too little is left."""
    cuts = [line] if len(line) <= max_length else [_cut_at_word(line, max_length), head(line, max_length)]
    for cut in cuts:
        name = _trimmed(cut)
        if is_name(name):
            return name
    return None


def is_name(text: str) -> bool:
    """Whether a reader sees at least 3 characters, a letter, a digit or a symbol such as an emoji among them."""
    says_something = any(unicodedata.category(char)[0] in "LN" or unicodedata.category(char) == "So" for char in text)
    return says_something and sum(1 for cluster in graphemes(text) if not cluster.isspace()) >= MIN_NAME


def _plain(line: str) -> str:
    line = _unmarked(line)
    if preamble := _PREAMBLE.match(line):
        line = preamble["name"]
    # A label may stand inside the emphasis or the quotes, and the other way round.
    for _ in range(2):
        line = _stripped(_QUOTES.sub("", _LABEL.sub("", _unmarked(line))))
    return line


def _unmarked(line: str) -> str:
    line = one_line(without_format_characters(unicodedata.normalize("NFC", line[:MAX_RAW])))
    line = _LINE_MARK.sub("", _HTML.sub("", LINK.sub(r"\g<text>", line)))
    return _EMPHASIS.sub(r"\g<text>", _STRONG.sub(r"\g<text>", line)).strip()


def _stripped(line: str) -> str:
    return line.lstrip(_LEADING).rstrip(_TRAILING)


def _trimmed(line: str) -> str:
    before = ""
    while line != before:
        before = line
        line = _stripped(line).rstrip("".join(_BRACKETS.values()))
        for closing, opening in _BRACKETS.items():
            if line.count(opening) > line.count(closing):
                before_it, _, after_it = line.rpartition(opening)
                line = before_it if is_name(before_it) else one_line(f"{before_it}{after_it}")
            elif line.count(closing) > line.count(opening) and line.endswith(closing):
                line = line[:-1]
    return line


def _cut_at_word(line: str, max_length: int) -> str:
    clusters = list(graphemes(line))
    fitting = len(list(graphemes(head(line, max_length))))
    for kept in range(fitting, 0, -1):
        if clusters[kept].isspace() or _stands_alone(clusters[kept]) or _stands_alone(clusters[kept - 1]):
            return "".join(clusters[:kept])
    return ""


def _stands_alone(cluster: str) -> bool:
    return unicodedata.category(cluster[0]) == "So" or unicodedata.name(cluster[0], "").startswith(_UNSPACED)
