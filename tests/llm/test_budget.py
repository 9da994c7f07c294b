"""The ledger: what calls cost, each counted once, and the point before which a build stops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.config.profiles import Prices
from mirsb_build.errors import BudgetReached
from mirsb_build.llm.budget import Ledger, cost_of
from mirsb_build.records import Usage

PRICES = Prices(prompt=2.0, cached=0.5, completion=8.0)
tokens = st.integers(0, 100_000)


def test_cached_tokens_have_a_price_of_their_own_and_reasoning_counts_as_completion() -> None:
    usage = Usage(prompt_tokens=1000, cached_tokens=400, completion_tokens=100, reasoning_tokens=60)
    assert cost_of(usage, PRICES) == pytest.approx((600 * 2.0 + 400 * 0.5 + 100 * 8.0) / 1e6)


def test_without_a_price_for_cached_tokens_they_cost_what_the_others_do() -> None:
    usage = Usage(prompt_tokens=1000, cached_tokens=400)
    assert cost_of(usage, Prices(prompt=2.0, completion=8.0)) == pytest.approx(0.002)


def test_without_prices_nothing_costs_anything() -> None:
    assert cost_of(Usage(prompt_tokens=10**6), None) == 0.0


@given(prompt=tokens, completion=tokens, share=st.floats(0.1, 1.0))
def test_a_batch_costs_its_share_of_the_price(prompt: int, completion: int, share: float) -> None:
    usage, prices = (
        Usage(prompt_tokens=prompt, completion_tokens=completion),
        PRICES.model_copy(update={"batch": share}),
    )
    assert cost_of(usage, prices, batch=True) == pytest.approx(share * cost_of(usage, prices))


def test_a_call_is_counted_once_whether_it_was_made_now_or_earlier() -> None:
    ledger = Ledger("tiny", None, 2)
    for _ in range(5):
        ledger.note("a", 1.0)
    ledger.start()
    with pytest.raises(BudgetReached):
        ledger.start()


def test_a_limit_of_calls_counts_those_under_way() -> None:
    ledger = Ledger("tiny", None, 3)
    ledger.note("earlier", 0.0)
    ledger.start()
    ledger.start()
    with pytest.raises(BudgetReached) as stop:
        ledger.start()
    assert str(stop.value) == (
        "build tiny: the budget of 3 calls is reached; what is finished is kept, and the same command with a larger "
        "--max-calls goes on from here"
    )
    ledger.end()  # it failed, and its place is free again
    ledger.start()


@given(limit=st.integers(1, 20), at_once=st.integers(1, 8))
def test_never_more_calls_are_made_than_the_limit_says(limit: int, at_once: int) -> None:
    ledger, made = Ledger("tiny", None, limit), 0
    while True:
        allowed = 0
        try:
            for _ in range(at_once):
                ledger.start()
                allowed += 1
        except BudgetReached:
            pass
        for _ in range(allowed):
            made += 1
            ledger.note(f"call {made}", 0.0)
            ledger.end()
        if allowed < at_once:
            break
    assert made == limit


@given(cost=st.floats(0.01, 1.0), limit=st.floats(0.5, 5.0), at_once=st.integers(1, 8))
def test_calls_of_one_price_never_cost_more_than_the_limit_once_the_price_is_known(
    cost: float, limit: float, at_once: int
) -> None:
    ledger = Ledger("tiny", limit, None)
    ledger.note("first", cost)
    spent, made = cost, 0
    while True:
        allowed = 0
        try:
            for _ in range(at_once):
                ledger.start()
                allowed += 1
        except BudgetReached as stop:
            assert "--max-cost" in str(stop)
        for _ in range(allowed):
            made += 1
            spent += cost
            ledger.note(f"call {made}", cost)
            ledger.end()
        if allowed < at_once:
            break
    assert spent <= max(limit, cost) + 1e-9
    assert spent > limit - 1.000001 * cost


def test_without_limits_nothing_stops() -> None:
    def spend(ledger: Ledger) -> None:
        for n in range(1000):
            ledger.start()
            ledger.note(str(n), 1e6)
            ledger.end()

    spend(Ledger("tiny", None, None))
    for limited in (Ledger("tiny", 9e8, None), Ledger("tiny", None, 999)):
        with pytest.raises(BudgetReached):
            spend(limited)
