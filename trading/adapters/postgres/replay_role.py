"""The role of replays: the database itself refuses it decisions, intents and everything that follows from them."""

from typing import Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trading.adapters.postgres.ledger import PostgresLedger

ROLE: Final = "trading_replay"


def replay_ledger(url: str, *, code_version: str = "") -> PostgresLedger:
    """The same ledger, in that role from the first statement on; where it is missing no connection is made."""
    given = conninfo_to_dict(url).get("options") or ""
    acting = make_conninfo(url, options=f"{given} -c role={ROLE}".strip())
    return PostgresLedger(acting, code_version=code_version, role="")
