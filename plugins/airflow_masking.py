"""Tells Airflow's own masking of a secret in each of its encodings, since it knows a text only as it stands."""

from collections.abc import Collection

from trading.config.secret import Secret
from trading.logging.redaction import encodings


def mask(texts: Collection[str]) -> None:
    """These are *** in Airflow's logs from now on, in those of the process above a task as well."""
    from airflow.sdk.log import mask_secret  # noqa: PLC0415 - imports the configuration

    mask_secret(sorted(texts))


def masked(secret: Secret | None) -> str | None:
    """The content, which Airflow's logs then hide."""
    if secret is None:
        return None
    mask(encodings(secret.reveal()))
    return secret.reveal()
