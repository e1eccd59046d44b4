"""The plain synchronous form, for scripts: `with Understudy.from_settings() as llm: llm.moderate(...)`."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, Self, TypeVar, overload

from bot_client.client import Understudy as AsyncUnderstudy
from bot_client.interface import Client
from bot_client.sync_conversation import Conversation
from understudy.contracts.call import ResultT

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from types import TracebackType
    from typing import Unpack

    from pydantic import BaseModel

    from bot_client.call import Call as AsyncCall
    from bot_client.options import Id, Options
    from bot_client.status import CallStatus
    from understudy.contracts.agent_turn import AgentTurnRequest, AgentTurnResult
    from understudy.contracts.call import Outcome
    from understudy.contracts.moderation import ModerationRequest, ModerationResult
    from understudy.contracts.thread_naming import ThreadNamingRequest, ThreadNamingResult

P = ParamSpec("P")
R = TypeVar("R")

INTERRUPT_S = 2.0
"""How long Ctrl-C waits for what it interrupts."""


class Call(Generic[ResultT]):
    """The handle of one call, for a script; see `bot_client.call.Call`."""

    def __init__(self, owner: Understudy, call: AsyncCall[ResultT]) -> None:
        self._owner = owner
        self._call = call

    @property
    def id(self) -> str:
        """The id of the call."""
        return self._call.id

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return self._call.kind

    def done(self) -> bool:
        """Whether it is known how the call ended."""
        return self._call.done()

    def result(self, timeout_s: float | None = None) -> Outcome[ResultT]:
        """Wait for the outcome; raises as `bot_client.call.Call.result` does."""
        return self._owner.run(self._call.result(timeout_s))

    def cancel(self, *, everyone: bool = False) -> bool:
        """Give the call up; see `Client.cancel`."""
        return self._owner.run(self._call.cancel(everyone=everyone))

    def status(self) -> CallStatus:
        """Read where the call is."""
        return self._owner.run(self._call.status())

    def __repr__(self) -> str:
        return repr(self._call)


def _blocking(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[Understudy, P], R]:
    """The method as one that returns when its coroutine has ended, with the same arguments."""

    def wait(self: Understudy, /, *args: P.args, **kwargs: P.kwargs) -> R:
        # The client's own: what is given here is often abstract.
        own: Callable[P, Coroutine[Any, Any, R]] = getattr(self._client, method.__name__)
        if kwargs.get("stream"):
            raise TypeError("A stream needs an event loop: take bot_client.Understudy, or ask without stream.")
        return self.run(own(*args, **kwargs))

    wait.__name__ = wait.__qualname__ = method.__name__
    wait.__doc__ = f"Blocks; otherwise as `Client.{method.__name__}`."
    return wait


class Understudy:
    """Asks the workers from a script without an event loop of its own; a private one runs in a thread.

    Several threads may use it at once. Ctrl-C while a call is waited for cancels the call.

    Args:
        client: of this process; see `from_settings`.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def from_settings(cls, **overrides: Any) -> Self:
        """A client for the settings of the environment and `.env`; `overrides` win.

        Raises:
            SettingsError: a setting is wrong; the message names the variable.
        """
        return cls(AsyncUnderstudy.from_settings(**overrides))

    def start(self) -> Self:
        """Begin; `with` does it."""
        if self._loop is not None:
            raise RuntimeError("An Understudy is started once; make another.")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="understudy-client", daemon=True)
        self._thread.start()
        self.run(self._client.start())
        return self

    def close(self) -> None:
        """End; `with` does it. Calls that are open go on, and are found again by their ids."""
        if self._loop is None or self._thread is None or self._loop.is_closed():
            return
        self.run(self._client.aclose())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    moderate = _blocking(Client.moderate)
    name_thread = _blocking(Client.name_thread)
    agent_turn = _blocking(Client.agent_turn)
    cancel = _blocking(Client.cancel)
    provider_status = _blocking(Client.provider_status)
    force_provider = _blocking(Client.force_provider)
    unforce = _blocking(Client.unforce)
    clear_health = _blocking(Client.clear_health)
    spend = _blocking(Client.spend)

    @overload
    def submit(
        self, kind: Literal["moderation"], request: ModerationRequest | Mapping[str, Any], **options: Unpack[Options]
    ) -> Call[ModerationResult]: ...
    @overload
    def submit(
        self,
        kind: Literal["thread_naming"],
        request: ThreadNamingRequest | Mapping[str, Any],
        **options: Unpack[Options],
    ) -> Call[ThreadNamingResult]: ...
    @overload
    def submit(
        self, kind: Literal["agent_turn"], request: AgentTurnRequest | Mapping[str, Any], **options: Unpack[Options]
    ) -> Call[AgentTurnResult]: ...
    @overload
    def submit(self, kind: str, request: BaseModel | Mapping[str, Any], **options: Unpack[Options]) -> Call[Any]: ...
    def submit(self, kind: str, request: BaseModel | Mapping[str, Any], **options: Unpack[Options]) -> Call[Any]:
        """Open a call and return at once; see `Client.submit`."""
        return Call(self, self.run(self._client.submit(kind, request, **options)))

    def conversation(
        self,
        id: Id,  # noqa: A002 - its name everywhere else
        *,
        system: str | None = None,
        language: str | None = None,
        max_messages: int | None = None,
        max_tokens: int | None = None,
    ) -> Conversation:
        """A conversation whose history is kept; see `Client.conversation`."""
        limits = {"max_messages": max_messages, "max_tokens": max_tokens}
        return Conversation(self, self._client.conversation(id, system=system, language=language, **limits))

    def call(self, call_id: str) -> Call[Any]:
        """Get the handle of a call by its id; see `Client.call`."""
        return Call(self, self.run(self._client.call(call_id)))

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine on the private loop and wait for it; an interrupt cancels it."""
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise RuntimeError("Use the client within `with Understudy.from_settings() as llm:`.")
        over = threading.Event()

        async def to_its_end() -> R:
            try:
                return await work
            finally:
                over.set()

        waiting = asyncio.run_coroutine_threadsafe(to_its_end(), self._loop)
        try:
            return waiting.result()
        except BaseException:
            if waiting.cancel():
                over.wait(INTERRUPT_S)  # a cancelled call is cancelled in the ledger, too
            raise
