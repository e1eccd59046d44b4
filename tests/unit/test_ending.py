"""Tasks are ended, also those that miss a cancellation."""

from __future__ import annotations

import asyncio

from understudy.ending import end_tasks


async def deaf(times: int) -> None:
    """A task that swallows its first cancellations."""
    for _ in range(times):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(60)


async def broken() -> None:
    raise ValueError


async def test_a_task_that_misses_cancellations_ends_all_the_same() -> None:
    tasks = [asyncio.create_task(deaf(times)) for times in range(3)]
    tasks.append(asyncio.create_task(broken()))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end_tasks(tasks)
    assert all(task.done() for task in tasks)


async def test_no_tasks_are_ended_at_once() -> None:
    async with asyncio.timeout(10):
        await end_tasks([])
