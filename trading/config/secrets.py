"""Secrets: files first, the environment second, read as if an adversary had written them.

No message here ever holds a secret, nor does an exception's context: what complains about content never raises where
that content is at hand. A secret that is there and bad is an error, and no other place is asked instead.
"""

import hmac
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NoReturn
from urllib.parse import parse_qs, quote, urlsplit

from trading.errors import ConfigurationError

#: `strict`: a file belongs to us or to root and nobody else may read it. `mounted`: the platform's modes are tolerated.
Policy = Literal["strict", "mounted"]

MAX_BYTES: Final = 64 * 1024
MIN_KILL_SWITCH_CHARACTERS: Final = 32

_NAME: Final = re.compile(r"[a-z0-9_]{1,64}")
#: A URL whose user stands before a host, without a password: postgresql://trading@postgres:5432/trading.
_USER_ALONE: Final = re.compile(r"(postgres(?:ql)?://[^:/@?#\s]+)(@[^@/\s]+/[^@\s]*)")
_FORBIDDEN: Final = frozenset({"Cc", "Zl", "Zp"})  # control characters, line and paragraph separators
_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


class Secret:
    """A value that only `reveal()` shows: printing, formatting, copying and serialising it are refused."""

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The content: hand it straight to what needs it, keep it nowhere."""
        return self._value

    def same_as(self, other: "Secret") -> bool:
        """Whether both hold the same content, in constant time."""
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"

    def __str__(self) -> str:
        raise self._refusal("turned into text")

    def __format__(self, _spec: str) -> str:
        raise self._refusal("formatted")

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise self._refusal("copied or pickled")

    def _refusal(self, what: str) -> TypeError:
        return TypeError(f"the secret {self.name!r} cannot be {what}: call reveal() where it is used")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What one venue's account signs with."""

    venue: str
    api_key: Secret
    api_secret: Secret


class SecretsManager:
    """Finds secrets by name in `folders`, then in `environ` as NAME or NAME_FILE.

    In mode `live` a secret may come from the environment only where TRADING_SECRETS_FROM_ENVIRONMENT lists its name.
    `on_read` is handed each content that was found, so that logs can redact it.
    """

    def __init__(
        self,
        folders: Sequence[Path | str],
        environ: Mapping[str, str],
        policy: Policy = "strict",
        *,
        on_read: Callable[[str], object] | None = None,
    ) -> None:
        self._folders = tuple(Path(folder) for folder in folders)
        self._environ = environ
        self._policy: Policy = policy
        self._on_read = on_read

    def get_secret(self, name: str) -> Secret:
        """The secret `name`. Raises ConfigurationError naming it and the places that were looked at."""
        secret = self.find_secret(name)
        if secret is None:
            files = " or ".join(str(folder / name) for folder in self._folders) or "(no folder)"
            variable = name.upper()
            raise ConfigurationError(
                f"the secret {name!r} is missing: expected the file {files}, or the environment variable {variable} or"
                f" {variable}_FILE; create it with scripts/init-secrets.sh, or write the file with mode 0600"
            )
        return secret

    def find_secret(self, name: str) -> Secret | None:
        """The secret `name`, or None where no place has it; one that is there and bad is a ConfigurationError."""
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"bad secret name {name[:80]!r}: expected 1 to 64 of a-z, 0-9 and _")
        return self._agreed(name, self._from_folders(name), self._from_environment(name))

    def get_exchange_credentials(self, venue: str, purpose: str) -> Credentials:
        """The key pair for `venue`: the generated one where `purpose` is "paper", the exchange's own otherwise."""
        prefix = "paper" if purpose == "paper" else "exchange"
        return Credentials(venue, self.get_secret(f"{prefix}_api_key"), self.get_secret(f"{prefix}_api_secret"))

    def get_kill_switch_secret(self) -> Secret:
        """What overrides are signed with: at least 32 characters."""
        secret = self.get_secret("kill_switch_secret")
        if len(secret.reveal()) < MIN_KILL_SWITCH_CHARACTERS:
            raise ConfigurationError(
                f"the secret 'kill_switch_secret' is too short: expected at least {MIN_KILL_SWITCH_CHARACTERS}"
                " characters; remove it and let scripts/init-secrets.sh make a new one"
            )
        return secret

    def get_database_url(self) -> Secret | None:
        """The database's URL from the file `database_url` or TRADING_DATABASE_URL; None means the embedded one.

        Where that names a user and no password, the secret `db_password` is the password, if it is there. A bare
        DATABASE_URL is not looked at: it may belong to another program.
        """
        url = self._environ.get("TRADING_DATABASE_URL")
        from_environment = _checked("database_url", url, "TRADING_DATABASE_URL") if url else None
        if from_environment is not None and _has_password(from_environment.reveal()):
            self._allow_environment("database_url", "TRADING_DATABASE_URL")
        elif (found := _USER_ALONE.fullmatch(url or "")) and (password := self.find_secret("db_password")) is not None:
            from_environment = Secret("database_url", f"{found[1]}:{quote(password.reveal(), safe='')}{found[2]}")
        return self._agreed("database_url", self._from_folders("database_url"), from_environment)

    def _agreed(self, name: str, from_file: Secret | None, from_environment: Secret | None) -> Secret | None:
        if from_file is not None and from_environment is not None and not from_file.same_as(from_environment):
            raise ConfigurationError(
                f"the secret {name!r} is set twice and differs: once as a file in"
                f" {', '.join(map(str, self._folders))}, once in the environment; remove one of them"
            )
        secret = from_file if from_file is not None else from_environment
        if secret is not None and self._on_read is not None:
            self._on_read(secret.reveal())
        return secret

    def _from_folders(self, name: str) -> Secret | None:
        for folder in self._folders:
            secret = _read_file(name, folder / name, self._policy)
            if secret is not None:
                return secret
        return None

    def _from_environment(self, name: str) -> Secret | None:
        variable = name.upper()
        value, path = self._environ.get(variable), self._environ.get(f"{variable}_FILE")
        if value and path:
            raise ConfigurationError(f"the secret {name!r} is set twice: unset {variable} or {variable}_FILE")
        if value:
            self._allow_environment(name, variable)
            return _checked(name, value, variable)
        if not path:
            return None
        secret = _read_file(name, Path(path), self._policy)
        if secret is None:
            raise ConfigurationError(f"{variable}_FILE names the file {path}, which does not exist")
        return secret

    def _allow_environment(self, name: str, variable: str) -> None:
        if self._environ.get("TRADING_MODE") != "live":
            return
        allowed = {item.strip() for item in self._environ.get("TRADING_SECRETS_FROM_ENVIRONMENT", "").split(",")}
        if name not in allowed:
            raise ConfigurationError(
                f"in mode live the secret {name!r} may not come from the environment variable {variable}: expected a"
                f" file, or {name!r} in the list TRADING_SECRETS_FROM_ENVIRONMENT"
            )


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.password) or "password" in parse_qs(parts.query)
    except ValueError:
        return True  # cannot tell, so it may


def _checked(name: str, text: str, where: str) -> Secret:
    """A secret from `text` without one trailing newline, or a ConfigurationError that tells only what is wrong."""
    if text.endswith("\n"):
        text = text[:-2] if text.endswith("\r\n") else text[:-1]
    fault = _fault_of_text(text)
    secret = Secret(name, text)
    del text
    if fault:
        raise ConfigurationError(f"the secret {name!r} in {where} {fault}; its content is not shown")
    return secret


def _fault_of_text(text: str) -> str | None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "is not valid UTF-8"
    if len(text.encode()) > MAX_BYTES:
        return f"is larger than {MAX_BYTES} bytes"
    if text.startswith("\ufeff"):
        return "starts with a byte order mark: save it as UTF-8 without one"
    if not text.strip():
        return "is empty or blank"
    if any(unicodedata.category(character) in _FORBIDDEN for character in text):
        return "holds a control character or a newline inside: expected one line of text"
    return None


def _read_file(name: str, path: Path, policy: Policy) -> Secret | None:
    """The secret in `path`; None where nothing is there."""
    text, fault = _read_text(path, policy)
    if fault:
        del text
        raise ConfigurationError(f"the secret file {path} {fault}")
    return None if text is None else _checked(name, text, f"the file {path}")


def _read_text(path: Path, policy: Policy) -> tuple[str | None, str | None]:
    """(text, None), or (None, what is wrong), or (None, None) where nothing is there."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return None, None
    except OSError as error:
        return None, f"cannot be reached: {error.strerror}"
    try:
        raw, fault = _read_bytes(path, policy)
        return None if raw is None else raw.decode("utf-8"), fault
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return None, "is not valid UTF-8"


def _read_bytes(path: Path, policy: Policy) -> tuple[bytes | None, str | None]:
    """Up to MAX_BYTES of a regular file inside its folder that did not change meanwhile, or what is wrong with it.

    Kubernetes mounts secrets as links to a hidden folder beside them, so a link is followed as long as it stays inside.
    """
    target = Path(os.path.realpath(path, strict=True))
    if not target.is_relative_to(os.path.realpath(path.parent)):
        return None, "is a symbolic link that leaves its folder: put the file itself there"
    if not stat.S_ISREG(os.lstat(target).st_mode):  # before open(), which wakes devices
        return None, "is not a regular file"
    descriptor = os.open(target, _OPEN)
    try:
        before = os.fstat(descriptor)
        fault = _fault_of_status(before, policy)
        if fault:
            return None, fault
        raw = b""
        while chunk := os.read(descriptor, MAX_BYTES + 1 - len(raw)):
            raw += chunk
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(raw) != before.st_size:
        return None, "changed while it was read: try again"
    return raw, None


def _fault_of_status(status: os.stat_result, policy: Policy) -> str | None:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_size > MAX_BYTES:
        return f"is larger than {MAX_BYTES} bytes"
    if policy == "mounted":
        return None
    if status.st_mode & 0o077:
        return f"may be read by others (mode {stat.S_IMODE(status.st_mode):04o}): run chmod 600 on it"
    if status.st_uid not in (os.geteuid(), 0):
        return f"belongs to user {status.st_uid}: expected user {os.geteuid()} or root"
    return None
