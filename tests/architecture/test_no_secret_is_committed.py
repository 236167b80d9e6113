"""detect-secrets over every file that git has: nobody commits a key, not even an old one in a test."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from detect_secrets import SecretsCollection
from detect_secrets.settings import transient_settings

ROOT: Final = Path(__file__).parents[2]

#: Shapes of keys that nobody can take for anything else, and strings of high entropy.
_LOOKED_FOR: Final = (
    {"name": "ArtifactoryDetector"},
    {"name": "AWSKeyDetector"},
    {"name": "AzureStorageKeyDetector"},
    {"name": "BasicAuthDetector"},
    {"name": "DiscordBotTokenDetector"},
    {"name": "GitHubTokenDetector"},
    {"name": "GitLabTokenDetector"},
    {"name": "JwtTokenDetector"},
    {"name": "MailchimpDetector"},
    {"name": "NpmDetector"},
    {"name": "OpenAIDetector"},
    {"name": "PrivateKeyDetector"},
    {"name": "PypiTokenDetector"},
    {"name": "SendGridDetector"},
    {"name": "SlackDetector"},
    {"name": "StripeDetector"},
    {"name": "TelegramBotTokenDetector"},
    {"name": "TwilioKeyDetector"},
    {"name": "Base64HighEntropyString", "limit": 4.8},  # of 64 letters that a generated key has; words have less
)
_FILTERS: Final = (
    {"path": "detect_secrets.filters.allowlist.is_line_allowlisted"},  # a line with `pragma: allowlist secret`
    {"path": "detect_secrets.filters.heuristic.is_sequential_string"},
    {"path": "detect_secrets.filters.heuristic.is_templated_secret"},
    {"path": "detect_secrets.filters.heuristic.is_potential_uuid"},
)
#: Hashes of packages, and packed candles.
_LEFT_OUT: Final = ("requirements", ".csv.gz", ".png")
#: Passwords of example addresses, which belong to nobody: in tests, and in sentences that show an address's shape.
_NOT_OURS: Final = frozenset({"Basic Auth Credentials"})


def committed() -> list[Path]:
    """Every file that git has, or, in a copy without git, every file that is no product of a command."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git here: nothing is committed from this copy")
    names = [name for name in listed.stdout.decode().split("\0") if name]
    paths = [ROOT / name for name in names if not any(part in name for part in _LEFT_OUT)]
    return [path for path in paths if path.is_file()]


def found(paths: Sequence[Path]) -> Iterator[str]:
    """What looks like a secret: file, line and kind, never the value."""
    settings: dict[str, Any] = {"plugins_used": list(_LOOKED_FOR), "filters_used": list(_FILTERS)}
    with transient_settings(settings):
        secrets = SecretsCollection()
        for path in paths:
            secrets.scan_file(str(path))
    for name, secret in secrets:
        if secret.type not in _NOT_OURS:
            yield f"{name.removeprefix(f'{ROOT}/')}:{secret.line_number} {secret.type}"


def test_no_secret_is_committed() -> None:
    """Where this is wrong, end the line with `pragma: allowlist secret` and say why it is none."""
    assert list(found(committed())) == []


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("AWS Access Key", "AKIA" + "QWERTYUIOPASDFGH"),
        ("Private Key", "-----BEGIN " + "RSA PRIVATE KEY-----"),
        ("GitHub Token", "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"),
        ("Base64 High Entropy String", "key = '" + "kX9w3eR7tYqP2mN5vB8zL1cJ4hG6fD0sA+uI/oQEWZyTbKj'"),
    ],
)
def test_a_planted_one_is_found(tmp_path: Path, kind: str, line: str) -> None:
    (tmp_path / "settings.py").write_text(f"{line}\n")
    assert list(found([tmp_path / "settings.py"])) == [f"{tmp_path / 'settings.py'}:1 {kind}"]
