"""The client: opens calls in the ledger, publishes their messages, and hears how they end."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from redis.exceptions import RedisError

from bot_client import traced
from bot_client.batch.desk import Desk
from bot_client.call import Call, end_of, unknown
from bot_client.calls import Calls
from bot_client.draft import new_call, recorded_call
from bot_client.inbox import Inbox
from bot_client.opener import ROUND_S, Opener
from bot_client.policy import policy_of, require_provider
from bot_client.publisher import Publisher
from bot_client.replies import check_opened, given_up, known, reaching_redis
from bot_client.status import CallStatus, call_status
from bot_client.steering import Steering
from bot_client.turn_taking import TurnTaking
from bot_client.turnstile import Turnstile
from understudy import tracing
from understudy.contracts.tools import needs_tools
from understudy.ending import end_tasks
from understudy.errors import Unavailable
from understudy.providers import absent, providers_from
from understudy.redis_client import now_ms, redis_from
from understudy.settings import Settings, load_settings
from understudy.state.conversation import Limits, RedisConversations
from understudy.state.health import Health
from understudy.state.jobs import Jobs
from understudy.state.keys import Keys
from understudy.state.ledger import Ledger
from understudy.state.lua import source
from understudy.state.operations import Operations
from understudy.state.record import CANCELLED, DONE, FAILED
from understudy.state.spend import Spend

if TYPE_CHECKING:
    from pydantic import BaseModel

    from bot_client.call import End
    from bot_client.metrics import ClientMetrics
    from bot_client.opener import Opening
    from bot_client.tracked import Tracked
    from understudy.contracts.call import CallOptions
    from understudy.contracts.kind import Kind

logger = logging.getLogger("understudy.client")

GIVE_UP_S = 1.0
"""How long a cancelled task waits for its call to be cancelled; that goes on without it."""

READY_S = 1.0
LARGE = 50_000
"""Characters of a request that takes milliseconds to check: the loop gets a turn between the steps."""


class Understudy(Steering):
    """Asks the workers over Redis and a broker. One for each event loop; many calls share it.

    Args:
        settings: of the installation; see `from_settings`.
        metrics: counts and times its calls.
    """

    def __init__(self, settings: Settings, metrics: ClientMetrics | None = None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._providers = providers_from(settings)
        self._id = str(uuid.uuid4())
        self._turnstile = Turnstile()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._limits = Limits.of(settings)
        self._state = "new"

    @classmethod
    def from_settings(cls, **overrides: Any) -> Self:
        """A client for the settings of the environment and `.env`.

        Args:
            overrides: settings by their lower-case name, which win.

        Raises:
            SettingsError: a setting is wrong; the message names the variable.
        """
        return cls(load_settings(**overrides))

    async def start(self) -> Self:
        """Begin; `async with` does it. Redis need not be there yet."""
        if self._state != "new":
            raise RuntimeError("An Understudy is started once; make another.")
        self._state = "started"
        for sentence in absent(self._settings):
            logger.info("%s", sentence)
        keys = Keys(self._settings.understudy_prefix)
        self._redis = redis_from(self._settings, reply_s=ROUND_S, socket_connect_timeout=ROUND_S)
        self._health = Health(self._redis, keys, self._providers)
        self._operations = Operations(self._redis, keys, self._providers, self._settings)
        self._ledger = Ledger(self._redis, keys, inbox_maxlen=self._settings.understudy_inbox_maxlen)
        self._spend = Spend(self._redis, keys)
        self._opener = Opener(self._ledger, self._health)
        self._publisher = Publisher(self._settings, self._providers)
        self._calls = Calls(self._ledger, self._id, self._opener, self._publisher.put, self._metrics)
        self._taking = TurnTaking(self, RedisConversations(self._ledger.lua, self._id))
        deliver = self._taking.before(self._calls.deliver)
        on_read = {"on_read": self._metrics.read} if self._metrics else {}
        self._inbox = Inbox(self._settings, keys.inbox(self._id), deliver, self._calls.look_at_all, **on_read)
        self._calls.inbox = self._inbox
        try:
            await asyncio.to_thread(self._prepare)
        except BaseException:
            self._publisher.stop()
            raise
        self._reading = [asyncio.create_task(self._inbox.run()), asyncio.create_task(self._calls.watch())]
        return self

    async def aclose(self) -> None:
        """End; `async with` does it. Calls that are open go on, and are found again by their ids."""
        if self._state != "started":
            return
        self._state = "closed"
        await self._opener.aclose()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GIVE_UP_S)
        await end_tasks((*self._reading, *self._tasks))
        self._calls.close("this client was closed")
        await self._taking.aclose()
        await asyncio.to_thread(self._publisher.close)
        await self._inbox.aclose()
        await self._redis.aclose()
        if tracing.is_on():
            await asyncio.to_thread(tracing.flush, traced.FLUSH_S)

    async def call(self, call_id: str) -> Call[Any]:
        """Get the handle of a call by its id; see `Client.call`."""
        self._require_started()
        tracked = self._calls.hold(call_id, stream=True)
        try:
            if not tracked.known:
                with reaching_redis():
                    record = await self._ledger.attach(call_id, self._id)
                    now = await now_ms(self._redis)
                record = known(record, call_id)
                kind, new = recorded_call(record, self._id)
                left_ms = record.deadline - now
                policy = replace(policy_of(kind, record.options), needs_tools=needs_tools(record.request))
                self._calls.known(tracked, kind, new, policy, left_ms=left_ms, floor=record.created)
                if record.has_ended:
                    self._calls.end(tracked, end_of(record))
        except BaseException:
            self._calls.release(tracked)
            raise
        return Call(self, tracked.kind, call_id, tracked.ended, tracked.feed)

    async def cancel(self, call_id: str, *, everyone: bool = False) -> bool:
        """Give a call up; see `Client.cancel`."""
        self._require_started()
        tracked = self._calls.get(call_id)
        with reaching_redis():
            state = await self._ledger.cancel(call_id, inbox=None if everyone else self._id, operator=everyone)
            if tracked is None or not tracked.known:
                if state == "missing":
                    raise unknown(call_id)
                return state == CANCELLED
            if state in (DONE, FAILED, CANCELLED):
                await self._calls.look([tracked])
        if not tracked.ended.done():
            why = "Redis has lost its record" if state == "missing" else "it goes on for another client"
            self._calls.end(tracked, given_up(tracked, f"Given up by this client; {why}."))
        return state in (CANCELLED, "missing")

    def _desk(self) -> Desk:
        self._require_started()
        return Desk(self._providers, self._health, Jobs(self._redis, self._ledger.keys), self._spend)

    def _prepare(self) -> None:
        """What takes milliseconds and would hold up the first call."""
        if why := tracing.start(traced.SERVICE):
            logger.warning("%s", why)
        for script in ("open", "snapshot"):
            source(script)
        self._publisher.start()
        self._publisher.wait_ready(READY_S)

    async def _turn(self) -> None:
        self._require_started()
        await self._turnstile.turn()

    async def _open(self, kind: Kind, request: BaseModel, options: CallOptions) -> Call[Any]:
        policy = policy_of(kind, options, request)
        require_provider(self._providers, policy)
        text = request.model_dump_json(exclude_defaults=True)
        if len(text) > LARGE:
            await asyncio.sleep(0)
        span = traced.asking(kind, options)
        new = new_call(kind, request, text, options, self._id, span.traceparent)
        if len(text) > LARGE:
            await asyncio.sleep(0)
        tracked = self._calls.hold(new.id, stream=options.stream)
        opening = self._opener.open(new, policy)
        try:
            reply = await asyncio.shield(opening.reply)
            check_opened(reply, kind, new.id)
        except asyncio.CancelledError as gone:
            traced.refused(span, gone)
            self._in_background(self._withdraw(tracked, opening, kind))
            raise
        except BaseException as error:
            traced.refused(span, error)
            if self._calls.release(tracked) and opening.sent and isinstance(error, Unavailable):
                self._calls.abandon(new.id)
            raise
        if tracked.ended.done():  # of another task's call with this key, which ended while this one was opened anew
            tracked = self._calls.hold(new.id, stream=options.stream)
        traced.opened(span, new.id, tracked.ended)
        self._calls.opened(tracked, kind, new, policy, reply)
        return Call(self, kind, new.id, tracked.ended, tracked.feed)

    async def _ended(
        self,
        call_id: str,  # noqa: ARG002 - the one in memory needs it
        ended: asyncio.Future[End],
        timeout_s: float | None,
    ) -> End:
        if ended.done():
            return ended.result()
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(ended)

    async def _status(self, call_id: str) -> CallStatus:
        self._require_started()
        with reaching_redis():
            return call_status(known(await self._ledger.record(call_id), call_id))

    async def _give_up(self, call_id: str) -> None:
        tracked = self._calls.get(call_id)
        if tracked is None or not self._calls.release(tracked) or self._state != "started":
            return
        await asyncio.wait([self._in_background(self._cancel_quietly(tracked))], timeout=GIVE_UP_S)

    async def _withdraw(self, tracked: Tracked, opening: Opening, kind: Kind) -> None:
        """Whoever submitted it was cancelled: it is not sent, or cancelled once the ledger has answered."""
        if not opening.sent:
            opening.reply.cancel()
        await asyncio.wait([opening.reply])
        lone = self._calls.release(tracked)
        if opening.reply.cancelled() or (opening.reply.exception() and not opening.sent):
            return
        if lone:
            await self._cancel_quietly(tracked)
        elif not opening.reply.exception() and opening.reply.result().word in ("publish", "attached", "done"):
            # Another task of this process asked for the same key meanwhile.
            self._calls.opened(tracked, kind, opening.new, opening.policy, opening.reply.result())

    async def _cancel_quietly(self, tracked: Tracked) -> None:
        try:
            await self._ledger.cancel(tracked.id, inbox=self._id)
        except (RedisError, OSError):
            self._calls.abandon(tracked.id)
        if tracked.known:
            self._calls.end(tracked, given_up(tracked, "Given up by this client."))

    def _in_background(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _require_started(self) -> None:
        if self._state != "started":
            raise RuntimeError("Use the client within `async with Understudy.from_settings() as llm:`.")
