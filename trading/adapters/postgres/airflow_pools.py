"""Airflow's pools, where its tables are in this database: `trading doctor` reads, plugins/pools.py makes them."""

import psycopg

from trading.adapters.postgres.connection import address, connect_plain, translated
from trading.adapters.postgres.queries import QUERIES


def airflow_pools(url: str) -> dict[str, int] | None:
    """Slots by pool; None where Airflow's tables are not in this database."""
    try:
        with connect_plain(url) as connection:
            if connection.execute(QUERIES["airflow_has_pools"]).fetchone() != (True,):
                return None
            return {str(name): int(slots) for name, slots in connection.execute(QUERIES["airflow_pools"]).fetchall()}
    except psycopg.Error as error:
        raise translated(error, address(url)) from error
