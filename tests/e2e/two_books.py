"""Compares the paper exchange's book with the ledger, in plain SQL; imports nothing of the product."""

import sqlite3
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qsl

import psycopg

VENUE_FILLS = """
SELECT f.symbol, f.trade_id, o.client_order_id, lower(f.side), f.price, f.qty, f.commission, f.commission_asset
FROM fills AS f JOIN orders AS o USING (order_id)
"""
OUR_FILLS = """
SELECT replace(instrument, '/', ''), venue_fill_id, client_order_id, side,
       price::text, quantity::text, fee::text, fee_currency
FROM trading.fill
"""
VENUE_BALANCES = "SELECT asset, free, locked FROM balances"
OUR_BALANCES = """
SELECT currency, sum(amount)::text FROM trading.ledger_entry WHERE category = 'asset' GROUP BY currency
"""
VENUE_POSTS = "SELECT client_order_id FROM request_log WHERE method = 'POST' AND path = '/api/v3/order'"
VENUE_SIGNED = """
SELECT client_order_id, query FROM request_log WHERE method = 'POST' AND path = '/api/v3/order'
"""
OUR_SIGNED = """
SELECT client_order_id, trunc(extract(epoch FROM signed_at) * 1000)::bigint::text
FROM trading.order_event
WHERE state = 'submitting'
"""
OUR_INTENTS = "SELECT client_order_id FROM trading.order_intent"


def differences(book: Path, database_url: str) -> list[str]:
    """Every difference between the two books, in words; empty where they agree to the last digit."""
    with sqlite3.connect(f"file:{book}?mode=ro", uri=True) as venue, psycopg.connect(database_url) as ours:
        found = _compare("fill", _venue_fills(venue), _our_fills(ours))
        balances = {asset: Decimal(free) + Decimal(locked) for asset, free, locked in venue.execute(VENUE_BALANCES)}
        entries = {currency: Decimal(total) for currency, total in ours.execute(OUR_BALANCES)}
        found += _compare("balance", _without_zeros(balances), _without_zeros(entries))
        found += _exactly_one_intent_a_post(venue, ours)
    return found


def fill_count(book: Path) -> int:
    """How many fills the venue made."""
    with sqlite3.connect(f"file:{book}?mode=ro", uri=True) as venue:
        count: int = venue.execute("SELECT count(*) FROM fills").fetchone()[0]
    return count


def posts(book: Path) -> list[str]:
    """The client order id of every order POST that reached the venue, in order."""
    with sqlite3.connect(f"file:{book}?mode=ro", uri=True) as venue:
        return [row[0] for row in venue.execute(VENUE_POSTS + " ORDER BY id")]


def signed_otherwise(book: Path, database_url: str) -> list[str]:
    """The POSTs that do not carry exactly the time that was committed before them."""
    with sqlite3.connect(f"file:{book}?mode=ro", uri=True) as venue, psycopg.connect(database_url) as ours:
        committed = dict(ours.execute(OUR_SIGNED).fetchall())
        sent = {name: dict(parse_qsl(query)).get("timestamp") for name, query in venue.execute(VENUE_SIGNED)}
    return [f"{name}: {at}, committed {committed.get(name)}" for name, at in sent.items() if at != committed.get(name)]


def _venue_fills(venue: sqlite3.Connection) -> dict[tuple[str, str], tuple[object, ...]]:
    return {
        (symbol, str(trade_id)): (order, side, Decimal(price), Decimal(qty), Decimal(fee), asset)
        for symbol, trade_id, order, side, price, qty, fee, asset in venue.execute(VENUE_FILLS)
    }


def _our_fills(ours: "psycopg.Connection[tuple[str, ...]]") -> dict[tuple[str, str], tuple[object, ...]]:
    return {
        (symbol, fill_id): (order, side, Decimal(price), Decimal(qty), Decimal(fee), asset)
        for symbol, fill_id, order, side, price, qty, fee, asset in ours.execute(OUR_FILLS)
    }


def _exactly_one_intent_a_post(venue: sqlite3.Connection, ours: "psycopg.Connection[tuple[str, ...]]") -> list[str]:
    sent = [row[0] for row in venue.execute(VENUE_POSTS)]
    intents = {row[0] for row in ours.execute(OUR_INTENTS)}
    doubled = {name for name in sent if sent.count(name) > 1}
    return [f"{name} was posted more than once" for name in sorted(doubled)] + [
        f"{name} was posted without an intent" for name in sorted(set(sent) - intents)
    ]


def _without_zeros(amounts: dict[str, Decimal]) -> dict[str, Decimal]:
    return {name: amount for name, amount in amounts.items() if amount}


def _compare(what: str, theirs: dict, ours: dict) -> list[str]:  # type: ignore[type-arg]
    return [
        f"{what} {key}: the venue has {theirs.get(key)}, the ledger {ours.get(key)}"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key)
    ]
