"""The last net under secrets: registered values, in the shapes that they take on the way to a log, become ***."""

import base64
import json
import re
import threading
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK: Final = "***"
MIN_LENGTH: Final = 4  # shorter ones are parts of ordinary words
_PREFIX: Final = 12  # a prefix this long gives the secret away
_TOKEN_LENGTH: Final = 8  # shorter parts of an address are names, ports and words
_HOST: Final = re.compile(r"[0-9.]+|localhost|[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,6}")  # no token, and said in errors
_REST: Final = r"[A-Za-z0-9+/=_%.~-]*"  # what follows it: the rest of the secret or encoding


class _Registry:
    """The registered values as one pattern, and the starts without which it cannot match: searching those is cheap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._mirrors: list[Callable[[Collection[str]], object]] = []
        self.starts: tuple[str, ...] = ()
        self.pattern = re.compile("(?!)")  # matches nothing

    def add(self, value: str) -> None:
        with self._lock:
            if len(value) < MIN_LENGTH or value in self._values:
                return
            self._values.add(value)
            found = {shape for item in self._values for shape in shapes(item)}
            whole = [re.escape(shape) for shape in sorted(found, key=len, reverse=True)]
            prefixes = sorted({re.escape(shape[:_PREFIX]) + _REST for shape in found if len(shape) > _PREFIX})
            self.pattern = re.compile("|".join([*whole, *prefixes]))
            self.starts = tuple({shape[:_PREFIX] for shape in found})
            mirrors = tuple(self._mirrors)
        for tell in mirrors:  # not under the lock: whoever is told may log
            tell(encodings(value))

    def mirror(self, tell: Callable[[Collection[str]], object]) -> None:
        with self._lock:
            self._mirrors.append(tell)
            values = tuple(self._values)
        for value in values:
            tell(encodings(value))

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self._mirrors.clear()
            self.starts = ()


_registry: Final = _Registry()


def register_secret(value: str) -> None:
    """From now on `value` is *** in each line: plain, URL-quoted, base64, hex, JSON-escaped, and any long prefix.

    Of a URL only the password is a secret: an error may say which address did not answer.
    """
    password = _password(value) if "://" in value else value
    for secret in {password, unquote(password)}:
        _registry.add(secret)


def mirror_secrets(tell: Callable[[Collection[str]], object]) -> None:
    """Hand the encodings of each registered value to `tell`, and from now on those of each new one.

    For another masking, such as Airflow's, which knows a value only as it stands.
    """
    _registry.mirror(tell)


def register_address(url: str) -> None:
    """The same for an address that is a secret as a whole, as those of Apprise: any part of it may be a token."""
    _, _, rest = url.partition("://")
    for part in re.split(r"[/?&=@:#,]+", rest):
        if len(part) >= _TOKEN_LENGTH and not _HOST.fullmatch(part):
            _registry.add(part)
            _registry.add(unquote(part))


def forget_secrets() -> None:
    """Forget all registered values: for tests."""
    _registry.clear()


def redact(line: str) -> str:
    """`line`, which is JSON, with the registered values masked; the same object where there is nothing to mask."""
    for start in _registry.starts:
        if start in line:
            return _registry.pattern.sub(MASK, line)
    return line


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return url


def encodings(value: str) -> set[str]:
    """The texts that `value` becomes on its way into something longer."""
    raw = value.encode("utf-8", "backslashreplace")
    found = {value, quote(value, safe=""), quote_plus(value), raw.hex(), raw.hex().upper(), repr(value)[1:-1]}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for lead in range(3):  # inside something longer, as in "user:password", the letters depend on the offset
            text = encode(b"\0" * lead + raw).decode()
            # The first letters hold bits of what came before, the last ones bits of what comes after.
            found.add(text[(0, 2, 3)[lead] :].rstrip("=")[: -1 if (lead + len(raw)) % 3 else None])
    found |= {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {text for text in found if len(text) >= MIN_LENGTH}


def shapes(value: str) -> set[str]:
    """The encodings of `value` as they stand in a line, which is JSON: each escaped once more."""
    both = (False, True)
    return {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in encodings(value) for ascii_only in both}
