"""Secrets: files first, the environment second, read as if an adversary had written them.

No message here ever holds a secret, nor does an exception's context: what complains about content never raises where
that content is at hand. A secret that is there and bad is an error, and no other place is asked instead.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import parse_qs, quote, urlsplit

from trading.clock import Clock, SystemClock
from trading.config.known_secrets import DATABASE_PASSWORD, NEXT_DATABASE_PASSWORD, known
from trading.config.renewed_keys import RenewedKeys
from trading.config.secret import Credentials, RenewedSecret, Secret
from trading.config.secret_files import Identity, Policy, fault_of_text, identity, read_text, without_line_end
from trading.errors import ConfigurationError

#: The ids of the keys that overrides are signed with. Under dual control both must sign.
KeyId = Literal["kill_switch_secret", "kill_switch_secret_b"]
KILL_SWITCH_KEYS: Final[tuple[KeyId, ...]] = get_args(KeyId)

_NAME: Final = re.compile(r"[a-z0-9_]{1,64}")


class SecretsManager:
    """Finds secrets by name in `folders`, then in `environ` as NAME or NAME_FILE.

    In mode `live` a secret may come from the environment only where TRADING_SECRETS_FROM_ENVIRONMENT lists its name.
    `on_read` is handed each content that was found, so that logs can redact it. Each call reads anew, so that a
    renewed secret needs no restart.
    """

    def __init__(
        self,
        folders: Sequence[Path | str],
        environ: Mapping[str, str],
        policy: Policy = "strict",
        *,
        on_read: Callable[[str], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
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

    def names(self, prefix: str) -> list[str]:
        """The names of all secrets that begin with `prefix`, unopened."""
        there = [name for folder in self._folders if folder.is_dir() for name in os.listdir(folder)]
        there += [variable.removesuffix("_FILE").lower() for variable in self._environ if variable.isupper()]
        return sorted({name for name in there if name.startswith(prefix) and _NAME.fullmatch(name)})

    def get_exchange_credentials(self, venue: str, purpose: str) -> Credentials:
        """The key pair for `venue`: the generated one where `purpose` is "paper", the exchange's own otherwise."""
        prefix = "paper" if purpose == "paper" else "exchange"
        key, secret = f"{prefix}_api_key", f"{prefix}_api_secret"
        both = RenewedKeys((key, secret), read=self.get_secret, look=self._identities, clock=self._clock)
        return Credentials(venue, RenewedSecret(key, both.key), RenewedSecret(secret, both.secret))

    def get_kill_switch_secret(self) -> Secret:
        """What overrides are signed with: the first of the keys."""
        return self.get_kill_switch_key(KILL_SWITCH_KEYS[0])

    def get_kill_switch_key(self, name: KeyId) -> Secret:
        """What overrides are signed with, by its key id."""
        return self.get_secret(name)

    def kill_switch_keys(self) -> tuple[Secret, ...]:
        """Every key that an override may be signed with; none is an error, and so are two of the same content."""
        keys = tuple(key for key in map(self.find_secret, KILL_SWITCH_KEYS) if key is not None)
        if len(keys) == len(KILL_SWITCH_KEYS) and keys[0].same_as(keys[1]):
            raise ConfigurationError(
                f"the secrets {' and '.join(KILL_SWITCH_KEYS)} have the same content: expected two keys; remove one of"
                " them and let scripts/init-secrets.sh make a new one"
            )
        return keys or (self.get_secret(KILL_SWITCH_KEYS[0]),)

    def get_audit_secret(self) -> Secret:
        """What the audit log's anchors are authenticated with."""
        return self.get_secret("audit_secret")

    def get_database_url(self) -> Secret | None:
        """The database's URL; None means the embedded one."""
        return next(iter(self.get_database_urls()), None)

    def get_database_urls(self) -> tuple[Secret, ...]:
        """The database's URL, with the password of now and, while that is being changed, with the next one.

        It comes from the file `database_url` or TRADING_DATABASE_URL. A bare DATABASE_URL is not looked at: it may
        belong to another program. One of a user on a host without a password gets that of the secret `db_password`.
        """
        from_environment = self._value_of("TRADING_DATABASE_URL", "database_url")
        if from_environment is not None and _has_password(_checked(from_environment, "TRADING_DATABASE_URL").reveal()):
            self._allow_environment("database_url", "TRADING_DATABASE_URL")
        named = self._agreed("database_url", self._from_folders("database_url"), from_environment)
        if named is None or not _lacks_password(named.reveal()):
            return () if named is None else (named,)
        # In this order: the next one may become the one of now between two looks, and is then seen as that.
        following, current = self.find_secret(NEXT_DATABASE_PASSWORD), self.find_secret(DATABASE_PASSWORD)
        complete = [_with_password(named, password) for password in (current, following) if password is not None]
        return tuple(complete) or (named,)

    def _identities(self, name: str) -> tuple[Identity | None, ...]:
        elsewhere = self._environ.get(f"{name.upper()}_FILE")
        paths = [folder / name for folder in self._folders]
        return tuple(map(identity, [*paths, Path(elsewhere)] if elsewhere else paths))

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
        value, path = self._value_of(variable, name), self._environ.get(f"{variable}_FILE")
        if value is not None and path:
            raise ConfigurationError(f"the secret {name!r} is set twice: unset {variable} or {variable}_FILE")
        if value is not None:
            self._allow_environment(name, variable)
            return _checked(value, variable)
        if not path:
            return None
        secret = _read_file(name, Path(path), self._policy)
        if secret is None:
            raise ConfigurationError(f"{variable}_FILE names the file {path}, which does not exist")
        return secret

    def _value_of(self, variable: str, name: str) -> Secret | None:
        value = self._environ.get(variable)
        return Secret(name, without_line_end(value)) if value else None

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


def _lacks_password(url: str) -> bool:
    """Whether it names a user and a host, and no password; a socket's user is known by the system."""
    try:
        parts = urlsplit(url)
        return bool(parts.username and parts.hostname) and not _has_password(url)
    except ValueError:
        return False


def _with_password(url: Secret, password: Secret) -> Secret:
    parts = urlsplit(url.reveal())
    user, _, host = parts.netloc.rpartition("@")
    login = f"{user.rstrip(':')}:{quote(password.reveal(), safe='')}@{host}"
    return Secret(url.name, parts._replace(netloc=login).geturl())


def _checked(secret: Secret, where: str) -> Secret:
    """That secret, or a ConfigurationError that tells only what is wrong."""
    fault = _fault(secret)
    if fault:
        raise ConfigurationError(f"the secret {secret.name!r} in {where} {fault}; its content is not shown")
    return secret


def _fault(secret: Secret) -> str | None:
    """What is wrong with its content; nothing is raised where that is at hand, since tracebacks may show variables."""
    row = known(secret.name)
    return fault_of_text(secret.reveal()) or (row.fault(secret.reveal()) if row else None)


def _read_file(name: str, path: Path, policy: Policy) -> Secret | None:
    """The secret in `path`; None where nothing is there."""
    text, fault = read_text(path, policy)
    secret = None if text is None else Secret(name, without_line_end(text))
    del text
    if fault:
        raise ConfigurationError(f"the secret file {path} {fault}")
    return None if secret is None else _checked(secret, f"the file {path}")
