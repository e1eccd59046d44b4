"""Waiting for something that will be so soon, without saying how soon."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

# Generous: a limit is there to end a test that would never end, not to measure.
LIMIT_S = 30.0


def eventually(fn: Callable[[], T], limit_s: float = LIMIT_S, every_s: float = 0.02) -> T:
    """Call `fn` until it returns something true, and return that.

    An AssertionError in `fn` counts as "not yet"; the last one is what the test fails with.

    Raises:
        AssertionError: it was not so within `limit_s`.
    """
    until = time.monotonic() + limit_s
    while True:
        last: AssertionError | None = None
        try:
            if value := fn():
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() >= until:
            raise last or AssertionError(f"not so within {limit_s} s")
        time.sleep(every_s)


@overload
async def aeventually(
    fn: Callable[[], Coroutine[Any, Any, T]], limit_s: float = LIMIT_S, every_s: float = 0.02
) -> T: ...
@overload
async def aeventually(fn: Callable[[], T], limit_s: float = LIMIT_S, every_s: float = 0.02) -> T: ...
async def aeventually(
    fn: Callable[[], Coroutine[Any, Any, T]] | Callable[[], T], limit_s: float = LIMIT_S, every_s: float = 0.02
) -> T:
    """Like `eventually`, on the event loop; `fn` may be a coroutine function or a plain one."""
    until = time.monotonic() + limit_s
    while True:
        last: AssertionError | None = None
        try:
            answer = fn()
            value: T = await answer if hasattr(answer, "__await__") else answer
            if value:
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() >= until:
            raise last or AssertionError(f"not so within {limit_s} s")
        await asyncio.sleep(every_s)
