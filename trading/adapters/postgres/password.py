"""The password of the database's user: changed without telling it to any log, and two of them while that goes on."""

from collections.abc import Sequence

from psycopg import Error, sql

from trading.adapters.postgres.connection import address, connect_plain, translated
from trading.errors import TradingError


def working_url(urls: Sequence[str]) -> str:
    """The first of `urls` that the database lets in; a single one is not tried. Raises what the last one met."""
    for url in urls[:-1]:
        try:
            connect_plain(url).close()
        except TradingError:
            continue
        return url
    return urls[-1]


def change_password(url: str, password: str) -> None:
    """Give the user of `url` another password. The server gets its SCRAM verifier alone: its log may be read."""
    with connect_plain(url) as connection:
        user = connection.info.user
        verifier = connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256").decode()
        change = sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(verifier))
        try:
            connection.execute(change)
        except Error as error:
            raise translated(error, address(url)) from None
