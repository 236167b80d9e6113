"""The deflated Sharpe ratio: the paper's own example, and what it must tell apart."""

import numpy as np
import pytest

from trading.domain.overfitting import deflated_sharpe, expected_best, moments, windows


def test_the_papers_example() -> None:
    """Annual 2.5 as the best of 100 with variance 1/2, five years of days, skewness -3, kurtosis 10: 0.9004."""
    days = 250
    generator = np.random.default_rng(1)
    trials = generator.normal(size=100)
    trials = (trials - trials.mean()) / trials.std(ddof=1) * np.sqrt(0.5 / days)
    assert expected_best(0.5 / days, 100) == pytest.approx(0.1132, abs=5e-5)
    found = deflated_sharpe(2.5 / np.sqrt(days), trials.tolist(), 1_250, -3.0, 10.0)
    assert found == pytest.approx(0.9004, abs=5e-5)


def test_the_best_of_many_worthless_ones_is_not_believed() -> None:
    """Two hundred random curves: the best looks good alone, and does not as one of many; a real edge does."""
    returns = np.random.default_rng(2).normal(0, 0.01, (200, 2_000))
    sharpes = (returns.mean(axis=1) / returns.std(axis=1, ddof=1)).tolist()
    best = int(np.argmax(sharpes))
    skewness, kurtosis = moments(returns[best])
    assert deflated_sharpe(sharpes[best], sharpes[best:][:1], 2_000, skewness, kurtosis) > 0.99
    assert deflated_sharpe(sharpes[best], sharpes, 2_000, skewness, kurtosis) < 0.9
    assert deflated_sharpe(sharpes[best] + 0.1, sharpes, 2_000, skewness, kurtosis) > 0.99


def test_moments_of_known_distributions() -> None:
    """Normal: 0 and 3. Exponential: 2 and 9."""
    generator = np.random.default_rng(3)
    assert moments(generator.normal(size=400_000)) == (pytest.approx(0, abs=0.02), pytest.approx(3, abs=0.05))
    assert moments(generator.exponential(size=400_000)) == (pytest.approx(2, abs=0.1), pytest.approx(9, abs=0.8))
    assert moments(np.zeros(5)) == (0.0, 3.0)


def test_windows_choose_on_the_past_and_judge_on_what_follows() -> None:
    """No candle is judged twice; the last stretch may be short."""
    assert windows(10, 4, 3) == [(0, 4, 7), (3, 7, 10)]
    assert windows(11, 4, 3) == [(0, 4, 7), (3, 7, 10), (6, 10, 11)]
    assert windows(4, 4, 3) == []
