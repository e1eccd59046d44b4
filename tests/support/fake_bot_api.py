"""A Bot API server on loopback, with Telegram's rules: what it accepts, what it refuses, and its flood control."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from understudy.ending import end_tasks

if TYPE_CHECKING:
    from types import TracebackType

TOKEN = "123456:made-up"
BOT = {"id": 123456, "is_bot": True, "first_name": "Bot", "username": "a_bot"}
USER = {"id": 7, "is_bot": False, "first_name": "Ann"}
MAX_CHARS = 4096
FLOOD_S = 1
"""Telegram's waits are whole seconds."""


class Refused(Exception):
    """A request that Telegram refuses."""

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status = status
        self.parameters = parameters


@dataclass
class Shown:
    """A message as the users of a chat see it."""

    id: int
    text: str
    entities: list[dict[str, Any]] = field(default_factory=list)
    edits: int = 0
    deleted: bool = False


class FakeBotApi:
    """Chats, as users see them, behind the address of a Bot API server; it serves from a thread of its own."""

    def __init__(self) -> None:
        self.flood_every = 0
        """Every so many sends and edits one is refused for a second; 0 refuses none."""
        self.url = ""
        self.sent: dict[int, list[Shown]] = {}
        self.topics: dict[tuple[int, int], str] = {}
        self.deleted: list[tuple[int, int]] = []
        self.asked: list[str] = []
        self.floods = 0
        self._updates: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._ids = itertools.count(1)
        self._writes = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bot-api")

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def say(self, chat: int, text: str, **more: Any) -> int:
        """A user writes; a chat below 0 is a group. The message's id."""
        return self._happens(chat, text=text, **more)

    def open_topic(self, chat: int, topic: int, name: str) -> None:
        """A user opens a topic."""
        created = {"name": name, "icon_color": 0}
        self._happens(chat, message_thread_id=topic, is_topic_message=True, forum_topic_created=created)

    def seen(self, chat: int) -> list[str]:
        """What the bot's messages in a chat say."""
        return [message.text for message in self.sent.get(chat, []) if not message.deleted]

    async def _start(self) -> None:
        self._runner = web.AppRunner(self._app(), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await end_tasks(asyncio.all_tasks() - {asyncio.current_task()})

    def _happens(self, chat: int, **more: Any) -> int:
        number = next(self._ids)
        update = {"update_id": number, "message": self._message(chat, number, USER, **more)}
        self._loop.call_soon_threadsafe(self._updates.put_nowait, update)
        return number

    def _message(self, chat: int, number: int, who: dict[str, Any], **more: Any) -> dict[str, Any]:
        group = {"id": chat, "type": "supergroup", "title": "A group", "is_forum": True}
        where = {"id": chat, "type": "private", "first_name": "Ann"} if chat > 0 else group
        text = more.get("text", "")
        command = [{"type": "bot_command", "offset": 0, "length": len(text)}] if text.startswith("/") else None
        said = {"entities": command, **more} if command else more
        return {"message_id": number, "date": 0, "chat": where, "from": who, **said}

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/bot{token}/{method}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        given = {name: str(value) for name, value in (await request.post()).items()}
        method = request.match_info["method"]
        self.asked.append(method)
        answer = getattr(self, f"_{method}", None)
        if request.match_info["token"] != TOKEN:
            return _refusal(Refused(401, "Unauthorized"))
        if answer is None:
            return _refusal(Refused(404, "Not Found: method not found"))
        try:
            return web.json_response({"ok": True, "result": await answer(given)})
        except Refused as refused:
            return _refusal(refused)

    async def _getMe(self, given: dict[str, str]) -> dict[str, Any]:  # noqa: N802 - Telegram's names
        return BOT

    async def _getUpdates(self, given: dict[str, str]) -> list[dict[str, Any]]:  # noqa: N802
        try:
            async with asyncio.timeout(float(given.get("timeout", "0"))):
                return [await self._updates.get()]
        except TimeoutError:
            return []

    async def _sendChatAction(self, given: dict[str, str]) -> bool:  # noqa: N802
        return True

    async def _sendMessage(self, given: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        self._flood()
        chat, number = int(given["chat_id"]), next(self._ids)
        shown = Shown(number, *_checked(given))
        self.sent.setdefault(chat, []).append(shown)
        return self._message(chat, number, BOT, text=shown.text)

    async def _editMessageText(self, given: dict[str, str]) -> dict[str, Any]:  # noqa: N802
        self._flood()
        chat, number = int(given["chat_id"]), int(given["message_id"])
        shown = next((m for m in self.sent.get(chat, []) if m.id == number and not m.deleted), None)
        if shown is None:
            raise Refused(400, "Bad Request: message to edit not found")
        text, entities = _checked(given)
        if (text, entities) == (shown.text, shown.entities):
            raise Refused(400, "Bad Request: message is not modified")
        shown.text, shown.entities, shown.edits = text, entities, shown.edits + 1
        return self._message(chat, number, BOT, text=text)

    async def _deleteMessage(self, given: dict[str, str]) -> bool:  # noqa: N802
        chat, number = int(given["chat_id"]), int(given["message_id"])
        self.deleted.append((chat, number))
        for shown in self.sent.get(chat, []):
            shown.deleted = shown.deleted or shown.id == number
        return True

    async def _editForumTopic(self, given: dict[str, str]) -> bool:  # noqa: N802
        self.topics[int(given["chat_id"]), int(given["message_thread_id"])] = given["name"]
        return True

    def _flood(self) -> None:
        self._writes += 1
        if self.flood_every and self._writes % self.flood_every == 0:
            self.floods += 1
            raise Refused(429, f"Too Many Requests: retry after {FLOOD_S}", retry_after=FLOOD_S)


def _refusal(refused: Refused) -> web.Response:
    body = {"ok": False, "error_code": refused.status, "description": str(refused), "parameters": refused.parameters}
    return web.json_response(body, status=refused.status)


def _checked(given: dict[str, str]) -> tuple[str, list[dict[str, Any]]]:
    """The text of a message, by Telegram's rules, and its entities."""
    text, entities = given.get("text", ""), json.loads(given.get("entities", "[]"))
    length = len(text.encode("utf-16-le")) // 2
    if not text.strip():
        raise Refused(400, "Bad Request: message text is empty")
    if length > MAX_CHARS:
        raise Refused(400, "Bad Request: message is too long")
    if any(not 0 <= each["offset"] < each["offset"] + each["length"] <= length for each in entities):
        raise Refused(400, "Bad Request: entity beyond the text")
    return text.rstrip(), entities
