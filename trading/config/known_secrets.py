"""Every secret that this project knows, as one table: what it is for, who reads it, what it must be, how it is renewed.

One more secret is one more row; scripts/init-secrets.sh makes those that are generated, and a test compares the two.
"""

import base64
import re
from dataclasses import dataclass
from typing import Final, Literal

#: Made by scripts/init-secrets.sh; asked of a person, since somebody else makes it; or written where it is wanted.
Origin = Literal["generated", "asked", "written"]

#: The services of docker-compose.yml. `worker`, which evaluates strategies, has no key of a venue, nor any that signs.
_ORDERS: Final = ("orders", "cli")
_AIRFLOW: Final = ("airflow-init", "api-server", "scheduler", "dag-processor", "triggerer")
_LEDGER: Final = (*_AIRFLOW, "worker", "alerts", *_ORDERS)

_SIMULATED: Final = ("replay", "paper")
_REAL: Final = ("sandbox", "live")
_ALL_MODES: Final = (*_SIMULATED, *_REAL)

_RESTART: Final = "restart: it is read at the start"
_BY_ITSELF: Final = "nothing: it is read anew where it is used"

#: What stands in examples, and in files that somebody meant to fill in later.
_EXAMPLE: Final = re.compile(
    r"<.*>|\[.*\]|\.+|x+|\*+|\$\{\w+\}|(your|my|the|insert|enter|put)[\s_-].*(key|secret|password|token|here).*"
    r"|.*(change[\s_-]?(me|this|it)|replace[\s_-]?(me|this)|placeholder|example|dummy|fixme|todo).*",
    re.IGNORECASE,
)
#: The key and secret of Binance's own documentation, which get pasted as they are: their first letters.
_PUBLISHED: Final = ("vmPUZE6mv9SD5VNHk4Hl", "NhqPtmdSJYdKjVHjA7PZ")
_FERNET_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownSecret:
    """One row. `readers` are services; `least` is in characters; `renewal` says what is left to do after a rotation.

    A name that ends in an underscore stands for all that begin with it.
    """

    name: str
    purpose: str
    origin: Origin
    readers: tuple[str, ...]
    needed_in: tuple[str, ...] = ()
    least: int = 0
    renewal: str = _BY_ITSELF

    @property
    def is_family(self) -> bool:
        """Whether this row stands for many."""
        return self.name.endswith("_")

    def fault(self, text: str) -> str | None:
        """What makes `text` unfit for this secret; None where nothing does."""
        if len(text) < self.least:
            return f"is too short: expected at least {self.least} characters{self._remedy}"
        if self.least and (_EXAMPLE.fullmatch(text) or text.startswith(_PUBLISHED)):
            return f"is an example, not a secret of yours{self._remedy}"
        return _fernet_fault(text) if self.name == FERNET_KEY else None

    @property
    def _remedy(self) -> str:
        return "; remove it and let scripts/init-secrets.sh make a new one" if self.origin == "generated" else ""


def _fernet_fault(text: str) -> str | None:
    for key in text.split(","):
        try:
            fits = len(base64.urlsafe_b64decode(key)) == _FERNET_BYTES
        except ValueError:
            fits = False
        if not fits:
            return "is no Fernet key: expected 32 bytes in URL-safe base64, or the new and the old one with a comma"
    return None


FERNET_KEY: Final = "airflow_conf_fernet_key"
DATABASE_PASSWORD: Final = "db_password"  # noqa: S105 - its name
#: The password that the database is about to take, while it is being changed: both are tried.
NEXT_DATABASE_PASSWORD: Final = "db_password_next"  # noqa: S105 - its name
EXCHANGE_KEYS: Final = ("exchange_api_key", "exchange_api_secret")

KNOWN: Final = (
    KnownSecret(
        name="kill_switch_secret",
        purpose="signs the way out of a halt",
        origin="generated",
        readers=("airflow-init", *_ORDERS),
        needed_in=_ALL_MODES,
        least=32,
        renewal="give the new file to whoever signs with it: tokens of the old one are worthless from now on",
    ),
    KnownSecret(
        name="kill_switch_secret_b",
        purpose="the second person's key of the same",
        origin="generated",
        readers=_ORDERS,
        least=32,
        renewal="give the new file to whoever signs with it: tokens of the old one are worthless from now on",
    ),
    KnownSecret(
        name="audit_secret",
        purpose="authenticates the anchors of the audit log",
        origin="generated",
        readers=_ORDERS,
        needed_in=_ALL_MODES,
        least=32,
        renewal="keep the old one in a safe: anchors that were made with it can only be checked with it",
    ),
    KnownSecret(
        name="exchange_api_key",
        purpose="the venue's own account",
        origin="asked",
        readers=_ORDERS,
        needed_in=_REAL,
        least=16,
        renewal="delete the old key at the venue, once an order was sent with the new one",
    ),
    KnownSecret(
        name="exchange_api_secret",
        purpose="signs what the venue's account asks for",
        origin="asked",
        readers=_ORDERS,
        needed_in=_REAL,
        least=16,
        renewal="delete the old key at the venue, once an order was sent with the new one",
    ),
    KnownSecret(
        name="paper_api_key",
        purpose="the account on the paper exchange",
        origin="generated",
        readers=("paper-exchange", *_ORDERS),
        needed_in=_SIMULATED,
        least=16,
        renewal=_RESTART,
    ),
    KnownSecret(
        name="paper_api_secret",
        purpose="signs what the paper account asks for",
        origin="generated",
        readers=("paper-exchange", *_ORDERS),
        needed_in=_SIMULATED,
        least=16,
        renewal=_RESTART,
    ),
    KnownSecret(
        name=DATABASE_PASSWORD,
        purpose="the password of a database URL that has none",
        origin="generated",
        readers=("postgres", *_LEDGER),
        least=12,
        renewal="restart Airflow's services: they read it at their start; our own connections need nothing",
    ),
    KnownSecret(
        name=NEXT_DATABASE_PASSWORD,
        purpose="the password that the database is about to take",
        origin="written",
        readers=_LEDGER,
        least=12,
    ),
    KnownSecret(
        name="redis_password",
        purpose="of Celery's broker",
        origin="generated",
        readers=("redis", "scheduler", "worker", "orders"),
        least=16,
        renewal=_RESTART,
    ),
    KnownSecret(
        name="database_url",
        purpose="the database, where it is not named in TRADING_DATABASE_URL",
        origin="written",
        readers=_LEDGER,
        renewal=_RESTART,
    ),
    KnownSecret(
        name=FERNET_KEY,
        purpose="encrypts connections in Airflow's database",
        origin="generated",
        readers=_AIRFLOW,
        needed_in=_ALL_MODES,
        least=44,
        renewal="restart, `trading airflow -- rotate-fernet-key`, then take the second key out of the file",
    ),
    KnownSecret(
        name="airflow_conf_secret_key",
        purpose="signs sessions of the web UI and requests for logs",
        origin="generated",
        readers=("airflow-init", "api-server"),
        needed_in=_ALL_MODES,
        least=32,
        renewal="restart all of Airflow at once; people log in again",
    ),
    KnownSecret(
        name="airflow_conf_jwt_secret",
        purpose="signs the tokens of Airflow's API and of its tasks",
        origin="generated",
        readers=("airflow-init", "api-server", "scheduler"),
        needed_in=_ALL_MODES,
        least=32,
        renewal="restart all of Airflow at once; tasks that run are done again",
    ),
    KnownSecret(
        name="ui_admin_password",
        purpose="the first login of the web UI",
        origin="generated",
        readers=("airflow-init",),
        needed_in=_ALL_MODES,
        least=8,
        renewal=_RESTART,
    ),
    KnownSecret(
        name="alert_url",
        purpose="where alerts go: an Apprise URL",
        origin="written",
        readers=("alerts",),
    ),
    KnownSecret(name="alert_url_", purpose="one more channel for alerts", origin="written", readers=("alerts",)),
    KnownSecret(name="airflow_conn_", purpose="a connection of Airflow", origin="written", readers=("worker",)),
    KnownSecret(name="airflow_var_", purpose="a variable of Airflow", origin="written", readers=("worker",)),
    KnownSecret(
        name="airflow_conf_",
        purpose="an option of Airflow that is a secret",
        origin="written",
        readers=_AIRFLOW,
        renewal=_RESTART,
    ),
)

_BY_NAME: Final = {row.name: row for row in KNOWN if not row.is_family}


def known(name: str) -> KnownSecret | None:
    """The row of `name`, its own or its family's; None for a secret of somebody else."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    return next((row for row in KNOWN if row.is_family and name.startswith(row.name)), None)
