"""One backtest of a file of candles in a process of its own: `… whole_process ours FILE`, or `peer`."""

import sys

import numpy as np


def ours(path: str) -> float:
    """Ours, with figures."""
    from tests.benchmarks.backtest import one_study

    return one_study(np.load(path)).figures.total_return


def peer(path: str) -> float:
    """backtesting.py's own example rule on the same candles."""
    import pandas as pd
    from backtesting import Backtest, Strategy
    from backtesting.lib import crossover

    cube = np.load(path)
    names = ["Open", "High", "Low", "Close", "Volume"]
    frame = pd.DataFrame(
        dict(zip(names, cube, strict=True)), index=pd.date_range("2024-01-01", periods=cube.shape[1], freq="min")
    )

    def mean(values: object, window: int) -> object:
        return pd.Series(values).rolling(window).mean()

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast = self.I(mean, self.data.Close, 20)
            self.slow = self.I(mean, self.data.Close, 50)

        def next(self) -> None:
            if crossover(self.fast, self.slow):
                self.buy()
            elif crossover(self.slow, self.fast):
                self.position.close()

    return float(Backtest(frame, Cross, cash=1e9, commission=0.001).run()["Return [%]"])


if __name__ == "__main__":
    sys.stdout.write(f"{ {'ours': ours, 'peer': peer}[sys.argv[1]](sys.argv[2]) }\n")
