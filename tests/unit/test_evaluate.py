"""Labelled messages and what models say of them: reading, scores, agreement."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from bot_client.batch.judgement import Agreement, Judgement, agreements, judgement_of, said_of, score_of
from bot_client.batch.labelled import Labelled, label_map, read_labelled, sample_of
from bot_client.batch.lines import Lines
from bot_client.batch.progress import Progress
from bot_client.batch.verdict import Verdict
from bot_client.batch.window import USED_UP
from bot_client.cli.evaluate import _taken
from understudy.contracts import KINDS
from understudy.contracts.moderation import ModerationResult, Violation, needs_review
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SPAM, TOXIC, CLEAN, UNSURE, FAILED = "spam", "toxic", "none", "needs_review", "error"


def rows(*expected: str) -> list[Labelled]:
    request = KINDS["moderation"].parse({"text": "x"})
    return [Labelled(i, label, label, {"id": i, "text": "x"}, request) for i, label in enumerate(expected, 1)]


def judged(said: list[str], provider: str = "p", expected: tuple[str, ...] = ()) -> Judgement:
    return judgement_of(rows(*(expected or [CLEAN] * len(said))), said, provider, "m")


async def read(path: Path, content: str, **labels: str) -> list[Labelled]:
    path.write_text(content, "utf-8")
    with closing(Lines(str(path))) as lines:
        return await read_labelled(lines, labels)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "ham\thello there\nspam\tbuy now\n"),
        ("a.tsv", "text\tlabel\nhello there\tham\nbuy now\tSPAM\n"),
        ("a.csv", 'label,text\nok,"hello there"\nspam,buy now\n'),
        ("a.csv", "ham,hello there\nspam,buy now\n"),
        ("a.jsonl", '{"label": 0, "text": "hello there"}\n{"text": "buy now", "label": "spam"}\n'),
    ],
)
async def test_labelled_messages_are_read_from_any_format_with_or_without_a_header(
    tmp_path: Path, name: str, content: str
) -> None:
    found = await read(tmp_path / name, content)
    assert [(row.expected, row.message["text"]) for row in found] == [("none", "hello there"), ("spam", "buy now")]


async def test_a_map_says_what_labels_mean(tmp_path: Path) -> None:
    found = await read(
        tmp_path / "a.tsv", "fine\thello\njunk\tbuy\nJUNK\tbuy now\n", **label_map("fine=none, junk=any")
    )
    assert [row.expected for row in found] == ["none", "any", "any"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("ham\thello\nwhat\tbuy\n", "line 2: the label what is not known"),
        ("I wrote a long message here\tham\n", "line 1: its label is not known"),
        ("ham\thello\tthere\n", "line 1: it has 3 columns, not 2 \\(label, text\\)"),
        ("ham\thello\nham\t\n", "line 2: "),
    ],
)
async def test_a_row_that_cannot_be_used_is_named_with_its_line(tmp_path: Path, content: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        await read(tmp_path / "a.tsv", content)
    assert "I wrote" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "ham", "ham=good", "=none", "ham=none,"])
def test_a_map_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--label-map takes LABEL=EXPECTED"):
        label_map(text)


@pytest.mark.parametrize(("size", "picked"), [(None, 10), (3, 3), (10, 10), (11, 10), (1, 1)])
def test_a_sample_is_taken_evenly_and_is_the_same_each_time(size: int | None, picked: int) -> None:
    given = rows(*[CLEAN] * 10)
    assert len(sample_of(given, size)) == picked
    assert sample_of(given, size) == sample_of(given, size)
    assert [row.number for row in sample_of(given, 5)] == [1, 3, 5, 7, 9]


# Expected and said of each message, and found, missed, wrong of a violation.
SCORES: list[tuple[str, list[tuple[str, str]], str, tuple[int, int, int]]] = [
    ("all right", [(SPAM, SPAM), (CLEAN, CLEAN)], "any", (1, 0, 0)),
    ("one missed", [(SPAM, CLEAN), (SPAM, SPAM)], "any", (1, 1, 0)),
    ("one wrong", [(CLEAN, SPAM), (SPAM, SPAM)], "any", (1, 0, 1)),
    ("another violation counts as one", [(SPAM, TOXIC)], "any", (1, 0, 0)),
    ("another violation is not this one", [(SPAM, TOXIC)], SPAM, (0, 1, 0)),
    ("and is wrongly said", [(SPAM, TOXIC)], TOXIC, (0, 0, 1)),
    ("any violation is one", [("any", TOXIC), ("any", CLEAN)], "any", (1, 1, 0)),
    ("any violation says nothing of which", [("any", SPAM), (SPAM, SPAM)], SPAM, (1, 0, 0)),
]


@pytest.mark.parametrize(("_", "pairs", "name", "counts"), SCORES, ids=[row[0] for row in SCORES])
def test_a_score_counts_found_missed_and_wrong(
    _: str, pairs: list[tuple[str, str]], name: str, counts: tuple[int, int, int]
) -> None:
    score = score_of(name, {pair: pairs.count(pair) for pair in pairs})
    assert (score.found, score.missed, score.wrong) == counts


def test_precision_and_recall_are_those_of_the_judged_messages() -> None:
    said = [SPAM, SPAM, CLEAN, SPAM, CLEAN, UNSURE, FAILED]
    judgement = judged(said, expected=(SPAM, SPAM, SPAM, CLEAN, CLEAN, SPAM, SPAM))
    anything, spam = judgement.scores
    assert (anything.name, spam.name) == ("any", SPAM)
    assert (spam.precision, spam.recall, spam.f1) == (2 / 3, 2 / 3, 2 / 3)
    assert (judgement.judged, len(judgement.said)) == (5, 7)
    assert judgement.confusion == {(SPAM, SPAM): 2, (SPAM, CLEAN): 1, (CLEAN, SPAM): 1, (CLEAN, CLEAN): 1} | {
        (SPAM, UNSURE): 1, (SPAM, FAILED): 1,
    }  # fmt: skip


def test_without_any_such_message_there_is_no_share() -> None:
    (anything,) = judged([CLEAN, CLEAN]).scores
    assert (anything.precision, anything.recall, anything.f1) == (None, None, None)


def test_two_providers_agree_where_both_judged_and_say_the_same() -> None:
    first = judged([SPAM, CLEAN, CLEAN, SPAM, UNSURE, CLEAN], "ollama")
    second = judged([SPAM, CLEAN, SPAM, SPAM, CLEAN, FAILED], "openai")
    (agreement,) = agreements([first, second])
    assert (agreement.first, agreement.second, agreement.both, agreement.same) == ("ollama", "openai", 4, 3)
    assert agreement.pairs == {(SPAM, SPAM): 2, (CLEAN, CLEAN): 1, (CLEAN, SPAM): 1}
    assert agreement.kappa == pytest.approx((0.75 - 0.5) / (1 - 0.5))
    assert agreement.as_dict()["share"] == 0.75


def test_three_providers_are_compared_two_by_two() -> None:
    found = agreements([judged([CLEAN], name) for name in "abc"])
    assert [(each.first, each.second) for each in found] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_where_chance_alone_makes_them_agree_there_is_no_kappa() -> None:
    (agreement,) = agreements([judged([CLEAN, CLEAN], "a"), judged([CLEAN, CLEAN], "b")])
    assert (agreement.same, agreement.kappa) == (2, None)
    assert Agreement("a", "b", agreement.pairs - agreement.pairs).kappa is None


def test_what_a_verdict_says() -> None:
    given: dict[str, Any] = {"helpful": False, "quality_score": 1, "action": "delete", "reason": "Sells."}
    assert said_of(Verdict(1, ModerationResult(violation=Violation.SPAM, **given))) == SPAM
    assert said_of(Verdict(1, ModerationResult(violation=None, **given | {"action": "none"}))) == CLEAN
    assert said_of(Verdict(1, needs_review("A filter."))) == UNSURE
    assert said_of(Verdict(1, error="deadline")) == FAILED


async def test_when_the_budget_is_used_up_nobody_waits_for_more_verdicts() -> None:
    closed: list[bool] = []

    async def verdicts() -> AsyncIterator[Verdict]:
        try:
            yield Verdict(1, error="deadline")
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    given: dict[int, Verdict] = {}
    async with asyncio.timeout(10):
        await _taken(verdicts(), given, Progress(state="waiting", why=f"; {USED_UP}"))
    assert (list(given), closed) == ([1], [True])
