"""`understudy evaluate` on real workers, whose stand-ins judge by simple rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import CommandLine
from tests.support.stack import Stack
from understudy.state.jobs import Jobs
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workers.local_redis import Flavour

# by the stand-ins' rules: the first is spam, the second is not, the third is toxic
LINES = [
    "spam\tFree entry! You won a prize, claim at http://win.example or text WIN to 87121",
    "ham\tShall we meet at noon tomorrow for lunch?",
    "ham\tyou stupid idiot shut up",
    "spam\tThis is what people call spam, and no rule knows it",
]


@pytest.fixture(scope="module")
def batch_stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    workers = {"ollama,openai,ollama.batch,openai.batch": 16}
    with Stack(tmp_path_factory.mktemp("stack"), redis_flavour, workers=workers) as stack:
        yield stack


@pytest.fixture
async def stack(batch_stack: Stack, request: pytest.FixtureRequest) -> Stack:
    await batch_stack.renew()
    return batch_stack


@pytest.fixture
def cli(stack: Stack, tmp_path: Path) -> CommandLine:
    (tmp_path / "labelled.tsv").write_text("\n".join(LINES) + "\n", "utf-8")
    return CommandLine(tmp_path, **{**stack.environment, "redis_url": stack.redis.url()})


async def test_each_row_is_asked_of_each_provider_that_is_named(stack: Stack, cli: CommandLine) -> None:
    stack.openai.set_fate(Fate(answer="refusal", when="noon"))
    ran = await cli.run("evaluate", "labelled.tsv", "--providers", "ollama,openai", "--yes", "--json")
    assert ran.status == 0, ran.err
    free, paid = ran.json["judgements"]
    assert (free["provider"], free["model"], free["messages"], free["judged"]) == ("ollama", "llama3.2", 4, 4)
    assert free["confusion"] == {"ham": {"none": 1, "toxic": 1}, "spam": {"none": 1, "spam": 1}}
    assert free["cost_microusd"] == 0
    assert {score["name"]: (score["precision"], score["recall"]) for score in free["scores"]} == {
        "any": (0.5, 0.5),
        "spam": (1.0, 0.5),
    }
    assert (paid["provider"], paid["judged"], paid["errors"]) == ("openai", 3, {})
    assert paid["confusion"]["ham"] == {"needs_review": 1, "toxic": 1}
    assert paid["cost_microusd"] > 0
    (agreement,) = ran.json["agreements"]
    assert (agreement["both"], agreement["same"]) == (3, 3)
    assert (stack.counts("ollama")["total"], stack.counts("openai")["total"]) == (4, 4)


async def test_without_names_the_free_ones_are_asked_in_a_job_of_their_own(stack: Stack, cli: CommandLine) -> None:
    ran = await cli.run("evaluate", "labelled.tsv", "--sample", "2")
    assert ran.status == 0, ran.err
    assert "2 messages, free." in ran.err
    assert "ollama (llama3.2): 2 messages, 2 judged" in ran.out
    assert "openai" not in ran.out
    assert stack.counts("openai")["total"] == 0
    async with stack.look() as look:
        job = (await Jobs(look.redis, look.keys).latest())[0]
    assert (job.name, job.state, job.spend) == ("evaluate labelled.tsv at ollama", "done", "never")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--provider", "openai"), "it costs money: give --yes"),
        (("--provider", "openai", "--yes", "--budget-usd", "0.000001"), "--budget-usd allows $0.000001"),
        (("--provider", "nobody"), "--providers is not a provider of the settings; known are ollama, openai"),
        (("--label-map", "spam=bad"), "--label-map takes LABEL=EXPECTED"),
    ],
)
async def test_what_cannot_be_done_is_said_before_anybody_is_asked(
    stack: Stack, cli: CommandLine, args: tuple[str, ...], words: str
) -> None:
    ran = await cli.run("evaluate", "labelled.tsv", *args)
    assert (ran.status, words in ran.err) == (2, True), ran.err
    assert stack.requests() == 0


async def test_rows_without_a_judgement_are_counted_and_make_the_exit_status_1(stack: Stack, cli: CommandLine) -> None:
    stack.ollama.set_fate(Fate(status=400, when="lunch"))
    ran = await cli.run("evaluate", "labelled.tsv")
    assert (ran.status, "Without a judgement: rejected 1" in ran.out) == (1, True), ran.out + ran.err
