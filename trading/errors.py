"""Everything that can go wrong, sorted by what the caller must do.

TradingError
├── ConfigurationError      stop; the message names settings, never their secret values
│   ├── CredentialsRefused  the venue refused the API key: halt until a person has renewed it
│   └── DiskFull            nothing is sent that could not be written down
├── DataError               stop this instrument
├── DatabaseError           nothing that needs a record may happen
│   ├── DatabaseUnavailable nothing was stored: what may be done twice may be done again, bounded
│   │   └── CommitUnknown   it may have been stored: read again by key
│   └── DatabaseUnwritable  stop; full or read-only, until a person mends it
├── TradingHalted           skip
├── OrderDenied(reason)     recorded, skip
├── ExchangeError
│   ├── ExchangeUnavailable retry, reads only, bounded in attempts and time
│   ├── OrderRejected       a definite no: record
│   └── OutcomeUnknown      never retry: reconcile
└── InvariantViolation      halt, fail loudly

A message says what was expected, what it was, and what to do. Each class carries the exit code of the command line.
"""

from enum import StrEnum


class Trouble(StrEnum):
    """What lies behind an error, where it is one of those that a person meets by name in docs/OPERATIONS.md."""

    OTHER = ""
    MAINTENANCE = "maintenance"
    BANNED = "banned"
    CREDENTIALS = "credentials"
    NOT_LISTED = "not_listed"
    DISK_FULL = "disk_full"


class TradingError(Exception):
    """Anything that this project raises on purpose."""

    exit_code = 1
    trouble = Trouble.OTHER


class ConfigurationError(TradingError):
    """A setting, secret or file is missing or wrong: nothing may start before a person mends it."""

    exit_code = 78  # EX_CONFIG


class CredentialsRefused(ConfigurationError):
    """The venue refused the API key: it expired, lacks a right, or is not allowed from this address."""

    trouble = Trouble.CREDENTIALS


class DiskFull(ConfigurationError):
    """The disk of a folder or database is full: nothing is sent that could not be written down first."""

    trouble = Trouble.DISK_FULL


class DataError(TradingError):
    """Market data that cannot be trusted: this instrument stops, the others go on."""

    exit_code = 65  # EX_DATAERR


class DatabaseError(TradingError):
    """The database, or the way to it: what cannot be recorded is not done."""

    exit_code = 78  # EX_CONFIG


class DatabaseUnavailable(DatabaseError):
    """It is away, or gave a transaction up; none of that transaction was stored."""


class CommitUnknown(DatabaseUnavailable):
    """The connection broke during COMMIT: the transaction was stored as a whole or not at all, nobody said which."""


class DatabaseUnwritable(DatabaseError):
    """It is there and takes no writes: its disk is full or broken, or it is read-only."""


class TradingHalted(TradingError):
    """The kill switch, the lease or an unreadable flag forbids sending."""

    exit_code = 75  # EX_TEMPFAIL


class OrderDenied(TradingError):
    """One of our own limits refused an order before it was sent.

    `reason` is a stable code of `trading.domain.risk`.
    """

    exit_code = 77  # EX_NOPERM

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ExchangeError(TradingError):
    """The venue, or the way to it."""

    exit_code = 69  # EX_UNAVAILABLE


class ExchangeUnavailable(ExchangeError):
    """A read failed; reads may be retried, bounded in attempts and time."""


class OrderRejected(ExchangeError):
    """The venue said a definite no: the order does not exist there.

    `code` is the venue's own error code, where it gave one.
    """

    def __init__(self, code: str, message: str, trouble: Trouble = Trouble.OTHER) -> None:
        super().__init__(message)
        self.code = code
        self.trouble = trouble


class OutcomeUnknown(ExchangeError):
    """The request may or may not have been executed: only evidence from the venue resolves it.

    `code` is the venue's own error code, where it gave one.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class InvariantViolation(TradingError):
    """What must never happen did: halt, and fail loudly."""

    exit_code = 70  # EX_SOFTWARE
