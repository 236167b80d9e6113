"""A mapped sweep that burns CPU: how much more two workers do than one."""

import time

from airflow.sdk import DAG, task

TASKS, CPU_S = 8, 0.5

with DAG("sweep", schedule=None, tags=["test"]):

    @task
    def burn(number: int) -> int:
        """Half a second of one core."""
        end = time.process_time() + CPU_S
        while time.process_time() < end:
            number = number * 1_103_515_245 % 2_147_483_647
        return number

    burn.expand(number=list(range(1, TASKS + 1)))
