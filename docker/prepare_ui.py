"""The web UI's roles and its first user. Safe to repeat: what stands here replaces what the database has.

Only `risk` may pause, unpause and resume what trades: with FAB, whoever may start a DAG's run may pause the DAG too, so
`trader` starts the DAGs of data and research alone.
"""

import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from trading.config.settings import TradingConfig

FIRST_USER = "admin"
VIEWER = tuple(FabAirflowSecurityManagerOverride.VIEWER_PERMISSIONS)
#: Starting runs, repeating tasks, and answering what a task asks.
RUNNING = tuple(
    (action, resource)
    for resource in ("DAG Runs", "Task Instances")
    for action in ("can_create", "can_edit", "menu_access")
)
TRADER_DAGS = (
    "ingest_candles",
    "backfill_candles",
    "evaluate_strategies",
    "replay_strategies",
    "backtest",
    "daily_report",
)
ROLES = {
    "viewer": VIEWER,
    "trader": VIEWER + RUNNING + tuple(("can_edit", f"DAG:{dag}") for dag in TRADER_DAGS),
    "risk": VIEWER + RUNNING + (("can_edit", "DAGs"), ("can_edit", "HITL Detail"), ("can_read", "Audit Logs")),
}


@providers_configuration_loaded
def main() -> None:
    """Roles with exactly these rights, and the first user with the password of the secret ui_admin_password."""
    password = TradingConfig.from_env().secrets().get_secret("ui_admin_password").reveal()
    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        manager.bulk_sync_roles([{"role": role, "perms": rights} for role, rights in ROLES.items()])
        for name, rights in ROLES.items():
            role = manager.find_role(name)
            for right in list(role.permissions):
                if (right.action.name, right.resource.name) not in rights:
                    manager.remove_permission_from_role(role, right)
        user = manager.find_user(FIRST_USER)
        if user is not None:
            manager.reset_password(user.id, password)
        elif not manager.add_user(FIRST_USER, "First", "User", "admin@localhost", manager.find_role("Admin"), password):
            sys.exit(f"the user {FIRST_USER} could not be created")
    sys.stderr.write(f"roles {', '.join(ROLES)} and user {FIRST_USER} are there\n")


if __name__ == "__main__":
    main()
