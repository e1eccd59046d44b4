"""A Telegram bot: it moderates groups, names topics, and answers private messages while the answer is written.

    TELEGRAM_BOT_TOKEN=123456:your-token python examples/telegram_bot.py

In a group it needs the rights to delete messages and to manage topics. It names a topic after its first message where
whoever opened the topic did not, or called it "?".
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiogram import Bot, Dispatcher, F, Router
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import PRODUCTION, TelegramAPIServer
from aiogram.enums import ChatType
from aiogram.exceptions import TelegramAPIError, TelegramBadRequest, TelegramRetryAfter, TelegramUnauthorizedError
from aiogram.filters import Command, CommandStart
from aiogram.types import Message, MessageEntity
from aiogram.utils.chat_action import ChatActionSender
from aiogram.utils.token import TokenValidationError
from telegramify_markdown import convert, split_entities

from bot_client import Action, CallCancelled, Understudy, UnderstudyError
from bot_client.pacing import paced

if TYPE_CHECKING:
    from bot_client.stream import AgentStream

SYSTEM = "You are a helpful assistant in a chat. Answer briefly, in the language of the user."
RULES = "No advertising, no insults, no private data of others."
MAX_CHARS = 4096
"""Of one message, counted as Telegram does."""

FINISH_S = 10.0
"""So long a bot that is asked to end writes its answers on."""

PRIVATE = F.chat.type == ChatType.PRIVATE
GROUPS = F.chat.type.in_({ChatType.GROUP, ChatType.SUPERGROUP})
router = Router()
logger = logging.getLogger("telegram_bot")


@dataclass
class Memory:
    """What the bot remembers while it runs; the conversations are in Redis."""

    answers: defaultdict[int, set[Answer]] = field(default_factory=lambda: defaultdict(set))
    unnamed: set[tuple[int, int | None]] = field(default_factory=set)


class Answer:
    """One answer as one message or more; what has not changed is not sent again."""

    def __init__(self, question: Message, turn: AgentStream) -> None:
        self.turn = turn
        self.over = asyncio.Event()
        self._question = question
        self._sent: list[tuple[Message, tuple[str, list[MessageEntity]]]] = []

    async def show(self, text: str, last: bool) -> None:
        """Make the messages say this text; called again after an error, it does what is left to do."""
        parts = split_entities(*convert(text), MAX_CHARS) or [("…", [])]
        for number, (part, marks) in enumerate(parts):
            entities = [MessageEntity(**mark.to_dict()) for mark in marks]
            if number == len(self._sent):
                self._sent.append((await self._question.answer(part, entities=entities), (part, entities)))
            elif self._sent[number][1] != (part, entities):
                message = self._sent[number][0]
                await edit(message, part, entities)
                self._sent[number] = message, (part, entities)
        while len(self._sent) > len(parts):
            await self._sent[-1][0].delete()
            self._sent.pop()
        if last:
            logger.info("answered chat=%s messages=%d", self._question.chat.id, len(parts))


async def edit(message: Message, text: str, entities: list[MessageEntity]) -> None:
    """Edit a message; that it says this already is fine."""
    try:
        await message.edit_text(text, entities=entities)
    except TelegramBadRequest as error:
        if "message is not modified" not in error.message:
            raise


def retry_after(error: Exception) -> float | None:
    """How long Telegram wants to be left alone."""
    return error.retry_after if isinstance(error, TelegramRetryAfter) else None


@router.message(PRIVATE, CommandStart())
async def start(message: Message) -> None:
    """Say hello."""
    await message.answer("Ask me something; /stop ends an answer.")


@router.message(PRIVATE, Command("stop"))
async def stop(message: Message, memory: Memory) -> None:
    """Cancel what is being answered in this chat."""
    answers = memory.answers[message.chat.id]
    for each in list(answers):
        await each.turn.cancel()
    if not answers:
        await message.answer("There is nothing to stop.")


@router.message(F.forum_topic_created)
async def topic_created(message: Message, memory: Memory) -> None:
    """Remember a topic that has no name of its own yet."""
    topic = message.forum_topic_created
    if topic and (topic.is_name_implicit or topic.name.strip() == "?"):
        memory.unnamed.add((message.chat.id, message.message_thread_id))


async def name_topic(message: Message, text: str, bot: Bot, llm: Understudy, memory: Memory) -> None:
    """Name the topic of this message, if it waits for a name."""
    chat, topic = message.chat.id, message.message_thread_id
    if topic is None or (chat, topic) not in memory.unnamed:
        return
    memory.unnamed.discard((chat, topic))
    try:
        named = await llm.name_thread(text, max_length=60, key=f"telegram:{chat}:{topic}")
        if named.result:
            await bot.edit_forum_topic(chat, topic, name=named.result.name)
    except (UnderstudyError, TelegramAPIError) as error:
        logger.warning("not_named chat=%s error=%s", chat, type(error).__name__)


@router.message(GROUPS, F.text)
async def moderate(message: Message, bot: Bot, llm: Understudy, memory: Memory) -> None:
    """Judge a message of a group, and act on it; without a verdict it stays."""
    text, author = message.text or "", message.from_user
    try:
        verdict = await llm.moderate(
            text[:8000],
            RULES,
            chat_id=message.chat.id,
            chat_title=message.chat.title,
            message_id=message.message_id,
            user_id=author.id if author else None,
            author=author.full_name if author else None,
            key=f"telegram:{message.chat.id}:{message.message_id}",
        )
        action = verdict.result.action if verdict.result else Action.NONE
        if action is Action.DELETE:
            await message.delete()
            return
        if action is Action.WARN and verdict.result:
            await message.reply(verdict.result.reason)
    except (UnderstudyError, TelegramAPIError) as error:
        logger.warning("not_moderated chat=%s error=%s", message.chat.id, type(error).__name__)
    await name_topic(message, text[:8000], bot, llm, memory)


@router.message(PRIVATE, F.text)
async def reply(message: Message, bot: Bot, llm: Understudy, memory: Memory) -> None:
    """Answer a private message; the name of its topic need not be waited for."""
    text = message.text or ""
    await asyncio.gather(answer(message, text, bot, llm, memory), name_topic(message, text[:8000], bot, llm, memory))


async def answer(message: Message, text: str, bot: Bot, llm: Understudy, memory: Memory) -> None:
    """Answer with what this chat, or topic, was about before."""
    chat, topic = message.chat.id, message.message_thread_id
    conversation = llm.conversation(f"telegram:{chat}:{topic or 0}", system=SYSTEM)
    turn = conversation.say(text, stream=True, key=f"telegram:{chat}:{message.message_id}")
    shown = Answer(message, turn)
    memory.answers[chat].add(shown)
    try:
        async with ChatActionSender.typing(chat, bot, message_thread_id=topic):
            await paced(turn, shown.show, retry_after=retry_after)
    except CallCancelled:
        await message.answer("Stopped.")
    except UnderstudyError as error:
        logger.warning("not_answered chat=%s error=%s", chat, type(error).__name__)
        await message.answer("Sorry, I have no answer just now. Please try again.")
    finally:
        memory.answers[chat].discard(shown)
        shown.over.set()


@router.shutdown()
async def finish(memory: Memory) -> None:
    """Let running answers end; those that take too long are cut off."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FINISH_S):
            for shown in [each for answers in memory.answers.values() for each in answers]:
                await shown.over.wait()


async def main() -> None:
    """Answer until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A Telegram bot on Understudy.")
    parser.add_argument("--api-url", default=os.environ.get("TELEGRAM_API_URL"), help="of a local Bot API server")
    api_url = parser.parse_args().api_url
    token = os.environ.get("TELEGRAM_BOT_TOKEN", "")
    if not token:
        sys.exit("TELEGRAM_BOT_TOKEN is not set: @BotFather gives you one.")
    session = AiohttpSession(api=TelegramAPIServer.from_base(api_url) if api_url else PRODUCTION)
    try:
        bot = Bot(token, session=session)
        async with Understudy.from_settings() as llm:
            dispatcher = Dispatcher(llm=llm, memory=Memory())
            dispatcher.include_router(router)
            await dispatcher.start_polling(bot)
    except (TokenValidationError, TelegramUnauthorizedError):
        sys.exit("TELEGRAM_BOT_TOKEN is not the token of a bot: @BotFather gives you one.")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main())
