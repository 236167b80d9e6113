"""Hears of halts: PostgreSQL's NOTIFY wakes whoever waits here, and a look now and then finds what nobody heard."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

import psycopg

from trading.adapters.postgres.connection import address
from trading.adapters.postgres.queries import QUERIES
from trading.logging.events import log_event

logger = logging.getLogger(__name__)

#: A notification is lost while nobody listens: looked for this often besides.
LOOK_S: Final = 15.0
#: A halt that nobody has verified is told of again after this long.
AGAIN_S: Final = 60.0
_RECONNECT_S: Final = 2.0


async def unverified_halts(url: str, account: str) -> AsyncIterator[tuple[int, ...]]:
    """Ids of halts that nobody has seen to, as soon as one is engaged and at once where some stand; for ever.

    A connection that breaks is made anew. `url` must lead to the server itself: a pooler drops LISTEN.
    """
    told: dict[int, float] = {}
    while True:
        try:
            async for found in _listen(url, account):
                at = asyncio.get_running_loop().time()
                news = tuple(halt for halt in found if at - told.get(halt, -AGAIN_S) >= AGAIN_S)
                told = {halt: at if halt in news else told[halt] for halt in found}
                if news:
                    yield news
        except psycopg.Error as error:
            # The driver's own text may quote the URL.
            log_event(
                logger, "halt_signals_lost", level=logging.WARNING, database=address(url), reason=type(error).__name__
            )
            await asyncio.sleep(_RECONNECT_S)


async def _listen(url: str, account: str) -> AsyncIterator[list[int]]:
    """The unverified halts now, after each notification, and every LOOK_S."""
    connection: psycopg.AsyncConnection[Any]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, application_name="trading") as connection:
        await connection.execute("LISTEN trading_control")
        while True:
            cursor = await connection.execute(QUERIES["unverified_halts"], {"account": account})
            yield [row[0] for row in await cursor.fetchall()]
            async for _ in connection.notifies(timeout=LOOK_S, stop_after=1):
                pass
