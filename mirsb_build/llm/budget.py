"""What a build's calls cost, and the point where it may not make more of them."""

from __future__ import annotations

from mirsb_build.config.profiles import Prices
from mirsb_build.errors import BudgetReached
from mirsb_build.records import Usage

MILLION = 1_000_000


def cost_of(usage: Usage, prices: Prices | None, *, batch: bool = False) -> float:
    """What a call costs, in the currency of the prices; 0 where there are none."""
    if prices is None:
        return 0.0
    cached = prices.prompt if prices.cached is None else prices.cached
    fresh = usage.prompt_tokens - usage.cached_tokens
    tokens = fresh * prices.prompt + usage.cached_tokens * cached + usage.completion_tokens * prices.completion
    return (tokens / MILLION + usage.images * prices.image) * (prices.batch if batch else 1.0)


class Ledger:
    """The calls that a build rests on, each counted once, whether it was made now or in an earlier run.

    A call is allowed before it is made: with as many reserved as are under way, priced at the mean so far, so that a
    build at full speed stops before its limit and not after it.
    """

    def __init__(self, build: str, most_cost: float | None, most_calls: int | None) -> None:
        self._build = build
        self._most_cost = most_cost
        self._most_calls = most_calls
        self._costs: dict[str, float] = {}
        self._spent = 0.0
        self._under_way = 0

    def start(self) -> None:
        """Allow one more call, or raise BudgetReached."""
        calls = len(self._costs) + self._under_way
        if self._most_calls is not None and calls >= self._most_calls:
            raise BudgetReached(self._said(f"{self._most_calls:,} calls", "--max-calls"))
        mean = self._spent / len(self._costs) if self._costs else 0.0
        if self._most_cost is not None and self._spent + (self._under_way + 1) * mean > self._most_cost:
            raise BudgetReached(self._said(f"{self._most_cost:g}, of which {self._spent:.2f} is spent", "--max-cost"))
        self._under_way += 1

    def end(self) -> None:
        """A call that was allowed is over, one way or the other."""
        self._under_way -= 1

    def note(self, call: str, cost: float) -> None:
        """Count a finished call, once."""
        if call not in self._costs:
            self._costs[call] = cost
            self._spent += cost

    def _said(self, limit: str, option: str) -> str:
        return (
            f"build {self._build}: the budget of {limit} is reached; what is finished is kept, "
            f"and the same command with a larger {option} goes on from here"
        )
