"""A graceful stop: SIGINT and SIGTERM cancel the batch, which puts its intents in order first."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncGenerator

import dagster as dg


@contextlib.asynccontextmanager
async def stopped_by_signals() -> AsyncGenerator[None]:
    """Turn a signal into a cancellation of the block, and that into a final failure.

    Dagster's own handler raises from wherever the main thread happens to be, which would leave
    the event loop's tasks suspended half-way: a create without its reply, a file without its row.

    Dagster would apply the retry policy to its own interruption and begin again. After a failure
    that forbids retries, a run that is being cancelled ends as cancelled, any other as failed.

    Raises:
        Failure: A signal came and the block has ended in order.
    """
    task = asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        task.cancel()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    except asyncio.CancelledError:
        if received:
            raise dg.Failure(
                "Interrupted. What is open is taken up by the next run.", allow_retries=False
            ) from None
        raise
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
