"""`trading up` for tests that kill: run as a program, with the number of restarts that a component gets in ten minutes.

Its paper exchange can be told what goes wrong, and Airflow takes a silent task for dead after seconds, not a minute.
"""

import sys
from dataclasses import replace

from trading.cli import main
from trading.local import airflow_environment, start_up, supervisor
from trading.local.supervisor import Component

#: Far longer than the heartbeat of a task (5 s), also on a busy machine.
HEARTBEAT_TIMEOUT_S = 20

_exchange = start_up.StartUp._exchange


def _exchange_that_can_be_told(self: start_up.StartUp, state: str, accounts: str) -> Component:
    component = _exchange(self, state, accounts)
    return replace(component, command=(*component.command, "--fault-control"))


if __name__ == "__main__":
    supervisor._RESTARTS = int(sys.argv[1])
    start_up.StartUp._exchange = _exchange_that_can_be_told
    airflow_environment._SPEED["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"] = str(HEARTBEAT_TIMEOUT_S)
    sys.exit(main(["up"]))
