"""A name is one clean line, whatever a model or a user wrote."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from pydantic import ValidationError

from understudy.contracts.names import clean_name, is_name
from understudy.contracts.thread_naming import ThreadNamingRequest, ThreadNamingResult, degraded_name

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ('"Docker Build Fails"', "Docker Build Fails"),
        ("**Title:** Docker build", "Docker build"),
        ('Title: "iPhone vs. eSIM."', "iPhone vs. eSIM"),
        ('"Title: Docker build"', "Docker build"),
        ("Thread title: Docker", "Docker"),
        ("The suggested thread name: Docker", "Docker"),
        ("<think>hm: x\n</think>\n\n# Docker Build", "Docker Build"),
        ("Here is a title:\n\n**Fixing Docker**", "Fixing Docker"),
        ("Sure! Here's a title: “Foo Bar Baz”.", "Foo Bar Baz"),
        ("```\nFoo bar\n```", "Foo bar"),
        ("1. First Option\n2. Second", "First Option"),
        ("- *Emph* title", "Emph title"),
        ("> _quoted_ `code`", "quoted code"),
        ("[Docker](https://docker.com) help", "Docker help"),
        ("<b>Docker</b> help", "Docker help"),
        ('Fixing the "foo" bug!', "Fixing the foo bug"),
        ("Was ist los?!…", "Was ist los"),
        ("don’t stop", "don’t stop"),
        ("'single' quotes", "single quotes"),
        ("fix my_var_name now", "fix my_var_name now"),
        ("C++ vs C#", "C++ vs C#"),
        (".NET 8 error", ".NET 8 error"),
        ("Help: my cat", "Help: my cat"),
        ("Build (arm64)", "Build (arm64)"),
        ("Docker build (urgent case)", "Docker build"),
        ("\u202eevil\u200b name\x00", "evil name"),
        ("Заголовок: «Как починить Docker»", "Как починить Docker"),
        ("Тема: Борщ", "Борщ"),
        ("标题：如何修复构建", "如何修复构建"),
        ("タイトル：「東京旅行の計画」", "東京旅行の計画"),
        ("제목: 도커 빌드 오류", "도커 빌드 오류"),
        ("Título: Ayuda con Docker", "Ayuda con Docker"),
        ("Titre : Aide Docker", "Aide Docker"),
        ("العنوان: مشكلة في البناء؟", "مشكلة في البناء"),
        ("🚀 Release plan 🚀", "🚀 Release plan 🚀"),
        ("🎉🎊🥳", "🎉🎊🥳"),
        # Cut at a word, or inside one where nothing else is left.
        ("Docker build fails on every machine", "Docker build fails"),
        ("Как исправить сборку в Докере", "Как исправить сборку"),
        ("Internationalization of it", "Internationalization"),
        ("A Verylongwordthatexceedstwenty", "A Verylongwordthatex"),
        ("如何修复 Docker 构建失败的问题以及其他一些相关", "如何修复 Docker 构建失败的问题以"),
        ("नमस्ते दुनिया कैसे हो आप सब लोग", "नमस्ते दुनिया कैसे"),
        (f"Trip {FAMILY}{FAMILY}{FAMILY}", f"Trip {FAMILY}{FAMILY}"),
        ("🇩🇪🇫🇷🇮🇹🇪🇸🇵🇱🇳🇱🇧🇪🇦🇹🇨🇭🇸🇪🇳🇴", "🇩🇪🇫🇷🇮🇹🇪🇸🇵🇱🇳🇱🇧🇪🇦🇹🇨🇭🇸🇪"),
        # Nothing that could be a name.
        ("", None),
        ("Title: ", None),
        ("ok", None),
        ("???", None),
        ("***", None),
        ("---\n===", None),
        ("+++", None),
        ("你好", None),
        (FAMILY, None),
        ("<think>Docker</think>", None),
    ],
)
def test_an_answer_becomes_a_clean_name(answer: str, name: str | None) -> None:
    assert clean_name(answer, 20) == name


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("How do I build this on arm64?", "How do I build this"),
        ("Hi all,\n\nMy docker build fails", "Hi all, My docker"),
        ("<@123> <#456> hello there", "hello there"),
        ("see https://example.com/a?token=1 please", "see please"),
        ("[the docs](https://x.y/z) are wrong", "the docs are wrong"),
        ("https://me:secret@www.example.com:8080/a?token=1", "example.com"),
        ("<:partyparrot:123456>", "partyparrot"),
        ("```py\nprint(1)\n```", "print(1)"),
        ("hi", "Thread hi"),
        ("你好", "Thread 你好"),
        ("😀", "Thread 😀"),
        (FAMILY, f"Thread {FAMILY}"),
        ("!!", "Thread"),
        (":) ", "Thread"),
        ("e" + "\u0301" * 50, "Thread"),
    ],
)
def test_without_a_provider_the_message_gives_the_name(message: str, name: str) -> None:
    assert degraded_name(ThreadNamingRequest(first_message=message)).name == name


@pytest.mark.parametrize(
    ("max_length", "name"), [(3, "New"), (4, "Chat"), (5, "Topic"), (6, "Thread"), (9, "Thread hi")]
)
def test_the_word_for_a_message_that_says_nothing_fits(max_length: int, name: str) -> None:
    assert degraded_name(ThreadNamingRequest(first_message="hi", max_length=max_length)).name == name


def test_any_text_gives_a_name_within_its_limits() -> None:
    pieces = ["a", "Б", "字", " ", "\n", '"', "*", "_", "`", "#", ":", "(", ")", "[", "。", "Title: ", "https://a.b/c "]
    pieces += [FAMILY, "🇩🇪", "🇮", "\u0301", "\u200d", "\u202e", "\x00", "<think>", "</think>", "```", "<@1>", "'", "…"]
    draw = random.Random(7)
    for _ in range(3_000):
        text = "".join(draw.choice(pieces) for _ in range(draw.randint(1, 40)))
        _check("x" + text, draw.randint(3, 40))


def test_every_real_message_gives_a_name_within_its_limits() -> None:
    path = Path(os.environ.get("SMS_TSV", "../shared/data/sms.tsv"))
    if not path.exists():
        pytest.skip("the collection of real messages is not on this machine")
    for row in path.read_text("utf-8").split("\n"):
        if row:
            _check(row.partition("\t")[2], 20)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("piece", ["`", "```", "[a](", "((a", ")", "**a", "<", "www.a@", "\n`", "the ", "a\u0301"])
def test_a_hostile_text_of_full_length_does_not_hold_the_worker(piece: str) -> None:
    # Some of these took half a minute with patterns that try every pair.
    _check((piece * 8_000)[:8_000], 20)


@pytest.mark.parametrize("name", ["", "ab", "a\nb c", " abc", "...", "x" * 101, "\u200b\u200b\u200b"])
def test_what_is_no_clean_name_never_gets_out(name: str) -> None:
    with pytest.raises(ValidationError):
        ThreadNamingResult(name=name)


def _check(message: str, max_length: int) -> None:
    request = ThreadNamingRequest(first_message=message, max_length=max_length)
    for name in (clean_name(message, max_length), degraded_name(request).name):
        if name is not None:
            assert ThreadNamingResult(name=name).name == name
            assert is_name(name)
            assert len(name) <= max_length
            assert not set(name) & set('"`\n“”«»')
            assert name[-1] not in ".,;:!?… *"
