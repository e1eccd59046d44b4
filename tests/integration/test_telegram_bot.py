"""The Telegram bot of the examples, as a process of its own, against a Bot API with flood control."""

from __future__ import annotations

import itertools
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.example import Example
from tests.support.fake_bot_api import MAX_CHARS, TOKEN, FakeBotApi
from tests.support.polling import aeventually
from workers.stand_in import Fate
from workers.stand_in.answers import filled_up, tokens_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.stack import Stack

GROUP, TOPIC = -100, 5
LONG = 900
SPAM = "WIN a free prize! Text CLAIM to 80888 now"
QUESTION = "How do I back up my photos?"
_CHATS = itertools.count(7)

pytestmark = pytest.mark.timeout(300)  # the library's import alone takes long on a busy machine


@pytest.fixture(scope="module")
def telegram() -> Iterator[FakeBotApi]:
    """Telegram, as far as a bot sees it."""
    with FakeBotApi() as api:
        yield api


@pytest.fixture(scope="module")
def bot(redis_stack: Stack, telegram: FakeBotApi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """The bot, whose users these tests are."""
    environment = {**redis_stack.environment, "TELEGRAM_BOT_TOKEN": TOKEN}
    folder = tmp_path_factory.mktemp("telegram")
    with Example(folder, "telegram_bot.py", "--api-url", telegram.url, environment=environment) as running:
        running.says("Run polling")
        yield running


@pytest.fixture
def api(stack: Stack, telegram: FakeBotApi, bot: Example) -> FakeBotApi:
    """That Telegram, without flood control, on a stack that is as new."""
    telegram.flood_every = 0
    return telegram


@pytest.fixture
def ann() -> int:
    """A chat of this test's own."""
    return next(_CHATS)


def whole(shown: list[str], tokens: int = LONG) -> bool:
    """Whether these messages, one after another, are the whole answer of a stand-in."""
    said = "\n".join(shown)
    assert said == "".join(filled_up(tokens_of(said.partition("\n")[0]), tokens))
    return True


@pytest.mark.parametrize("flood_every", [0, 2])
async def test_a_long_answer_is_shown_whole_also_where_every_other_edit_is_refused(
    stack: Stack, api: FakeBotApi, ann: int, flood_every: int
) -> None:
    stack.ollama.set_fate(Fate(tokens=LONG, drip_ms=2))
    api.flood_every, floods = flood_every, api.floods
    api.say(ann, QUESTION)
    await aeventually(lambda: len(api.seen(ann)) > 1 and whole(api.seen(ann)))
    assert all(len(text) <= MAX_CHARS for text in api.seen(ann))
    assert sum(message.edits for message in api.sent[ann]) < LONG / 20
    assert "sendChatAction" in api.asked
    assert (api.floods > floods) == bool(flood_every)


async def test_an_answer_that_is_cut_off_is_replaced_by_the_fallbacks(stack: Stack, api: FakeBotApi, ann: int) -> None:
    stack.ollama.set_fate(Fate(tokens=LONG, drip_ms=2, cut_after=850))
    stack.openai.set_fate(Fate(tokens=100))
    api.say(ann, QUESTION)
    await aeventually(lambda: "in the place of llama3.2" in "".join(api.seen(ann)))
    await aeventually(lambda: "in the place of gpt-stand-in" in "".join(api.seen(ann)) and whole(api.seen(ann), 100))


async def test_stop_ends_the_answer_and_the_providers_work_and_the_next_question_is_answered(
    stack: Stack, api: FakeBotApi, ann: int
) -> None:
    stack.ollama.set_fate(Fate(tokens=LONG, drip_ms=100))
    api.say(ann, QUESTION)
    await aeventually(lambda: api.seen(ann))
    api.say(ann, "/stop")
    await aeventually(lambda: api.seen(ann)[-1:] == ["Stopped."])
    await aeventually(lambda: stack.running("ollama") == 0)
    stack.ollama.set_fate(Fate())
    api.say(ann, "One disk or two?")
    await aeventually(lambda: len(api.seen(ann)) == 3 and api.seen(ann)[-1].endswith("would be."))

    def nothing_to_stop() -> bool:  # the answer stands there a moment before its turn is over
        if api.seen(ann)[-1:] == ["There is nothing to stop."]:
            return True
        api.say(ann, "/stop")
        return False

    await aeventually(nothing_to_stop, every_s=0.5)


async def test_without_an_answer_the_user_is_told(stack: Stack, api: FakeBotApi, ann: int) -> None:
    for provider in stack.providers.values():
        provider.set_fate(Fate(status=400))
    api.say(ann, QUESTION)
    await aeventually(lambda: api.seen(ann) == ["Sorry, I have no answer just now. Please try again."])


async def test_spam_is_deleted_from_a_group_and_a_new_topic_is_named(stack: Stack, api: FakeBotApi) -> None:
    spam = api.say(GROUP, SPAM)
    api.open_topic(GROUP, TOPIC, "?")
    api.say(GROUP, QUESTION, message_thread_id=TOPIC, is_topic_message=True)
    await aeventually(lambda: (GROUP, spam) in api.deleted)
    await aeventually(lambda: "photos" in api.topics.get((GROUP, TOPIC), ""))
    assert [message for chat, message in api.deleted if chat == GROUP] == [spam]


async def test_a_bot_that_is_asked_to_end_writes_its_answer_to_the_end(
    stack: Stack, api: FakeBotApi, bot: Example, ann: int
) -> None:
    stack.ollama.set_fate(Fate(tokens=LONG, drip_ms=3))
    api.say(ann, QUESTION)
    await aeventually(lambda: api.seen(ann))
    bot.process.signal(signal.SIGTERM)
    assert await aeventually(lambda: not bot.process.alive)
    assert bot.process.exit_code == 0
    assert whole(api.seen(ann))


def test_without_a_token_it_says_so_in_one_line(tmp_path: Path) -> None:
    with Example(tmp_path, "telegram_bot.py", environment={}) as bot:
        assert bot.exit_code() == 1
        assert bot.said == "TELEGRAM_BOT_TOKEN is not set: @BotFather gives you one.\n"
