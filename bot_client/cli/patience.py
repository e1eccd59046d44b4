"""Waiting for what blocks, but not for ever."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def in_time(work: Callable[[], T], limit_s: float) -> T:
    """The result of `work`, run in a thread that nobody waits for afterwards.

    A name server or a server that sends a byte now and then can outlast every timeout of a socket; the loop's own
    threads would keep the process alive until it ends.

    Raises:
        TimeoutError: it took longer than `limit_s`.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: T | None = None
        fault: BaseException | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - handed to the one who waits
            fault = error
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            loop.call_soon_threadsafe(tell, result, fault)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wait_for(done, limit_s)
