"""The event trigger behind the DAG halt_trading: it waits in the triggerer until somebody halts."""

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent


class HaltTrigger(BaseEventTrigger):
    """Fires for each halt that is engaged, and for those that nobody has enforced yet."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where the triggerer finds it; its settings come from the environment, as everybody's."""
        return "halt_trigger.HaltTrigger", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event a halt, for ever."""
        from trading.manager import TradingManager  # noqa: PLC0415 - heavy, and only the triggerer needs it

        manager = TradingManager.from_env()
        async for halts in manager.ledger.unverified_halts(manager.config.account):
            yield TriggerEvent({"halts": list(halts)})
