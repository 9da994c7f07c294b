"""`mirsb demo`, `mirsb build`, `mirsb plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirsb_build.cli import options
from mirsb_build.errors import BudgetReached, UsageError, WaitingForReview

if TYPE_CHECKING:
    from mirsb_build.build.context import Build
    from mirsb_build.build.plan import Plan
    from mirsb_build.records import BuildOrder


def demo(store: options.StoreUrl = options.STORE, as_json: options.Json = False) -> None:
    """Run all seven stages on the offline profile, with a simulated review."""
    _run(options.order_of("demo", "offline", store, ("review.mode=simulated",)), as_json)


def build(
    build: options.BuildName,
    profile: options.ProfileName = "offline",
    settings: options.Settings = None,
    seeds_per_category: options.PerCategory = None,
    category: options.Categories = None,
    relation: options.Relations = None,
    limit: options.Limit = None,
    target_per_cell: options.Target = None,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    retry_dead: options.RetryDead = False,
    store: options.StoreUrl = options.STORE,
    as_json: options.Json = False,
) -> None:
    """Run a build, or go on with it; what is finished is not done again."""
    changed = options.settings_of(
        settings, seeds_per_category, category, relation, limit, target_per_cell, max_cost, max_calls
    )
    order = options.order_of(build, profile, store, changed).model_copy(update={"retry_dead": retry_dead})
    _run(order, as_json, seeds_per_category)


def plan(
    build: options.BuildName,
    profile: options.ProfileName = "offline",
    settings: options.Settings = None,
    seeds_per_category: options.PerCategory = None,
    category: options.Categories = None,
    relation: options.Relations = None,
    limit: options.Limit = None,
    target_per_cell: options.Target = None,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    store: options.StoreUrl = options.STORE,
    as_json: options.Json = False,
) -> None:
    """Show what a build would do next: calls, tokens, images, cost. Calls nothing, writes nothing."""
    from mirsb_build.cli import render as show

    changed = options.settings_of(
        settings, seeds_per_category, category, relation, limit, target_per_cell, max_cost, max_calls
    )
    what_is_left = _plan(_opened(options.order_of(build, profile, store, changed), seeds_per_category))
    show.json_of(what_is_left) if as_json else show.plan(what_is_left)


def _opened(order: BuildOrder, seeds_per_category: int | None) -> Build:
    """The build; raises UsageError for a number of seed queries where targets say how many there are."""
    from mirsb_build.build.context import open_build

    opened = open_build(order)
    if opened.targets and seeds_per_category is not None:
        raise UsageError("targets have as many seed queries written as they need; leave out --seeds-per-category")
    return opened


def _plan(opened: Build) -> Plan:
    from mirsb_build.build.context import Unfinished, only_finished
    from mirsb_build.build.method import seven_stages
    from mirsb_build.build.plan import plan as plan_of

    try:
        seven_stages(opened, only_finished)
    except Unfinished as stop:
        return plan_of(opened, stop)
    return plan_of(opened, None)


def _run(order: BuildOrder, as_json: bool, seeds_per_category: int | None = None) -> None:
    """Run what is left of a build and show what came of it; raises WaitingForReview when people have to decide."""
    from mirsb_build.cli import render as show
    from mirsb_build.cli.prefect_runtime import quiet_prefect, run_flow
    from mirsb_build.views import History, funnel, write_report

    quiet_prefect()
    opened = _opened(order, seeds_per_category)
    finished = not _plan(opened).lines
    if not finished:
        try:
            with show.progress():
                run_flow(order)
        except BudgetReached:
            if not as_json:
                show.shortages(funnel(History(opened.store, opened.name)))
            raise
    elif not opened.store.files.exists(f"builds/{opened.name}/report.html"):
        write_report(opened.store, opened.name)  # a run that was killed at its very end has left none
    result = funnel(History(opened.store, opened.name))
    show.json_of(result) if as_json else show.outcome(result, opened.store, already=finished)
    if result.awaiting_review:
        raise WaitingForReview(
            f"build {order.build}: {result.awaiting_review} instances wait for review; `mirsb review export "
            f"{order.build} --to FILE.jsonl`, decide, `mirsb review import {order.build} FILE.jsonl`"
        )
