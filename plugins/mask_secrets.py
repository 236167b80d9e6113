"""What the flows read as a secret is hidden in Airflow's own logs too, in every process that starts work."""

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from airflow_masking import mask
from trading.logging.redaction import mirror_secrets


class MaskSecrets:
    """Airflow calls this where a task or one of its components starts."""

    @hookimpl
    def on_starting(self, component: object) -> None:  # noqa: ARG002
        """From here on each secret that is registered with our logs is registered with Airflow's masking."""
        mirror_secrets(mask)


class MaskSecretsPlugin(AirflowPlugin):
    """Registers the listener."""

    name = "mask_secrets"
    listeners = (MaskSecrets(),)
