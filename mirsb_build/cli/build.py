"""`mirsb demo`, `mirsb build`, `mirsb plan`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mirsb_build.cli import options
from mirsb_build.errors import BudgetReached, UsageError, WaitingForReview

if TYPE_CHECKING:
    from mirsb_build.build.context import Context
    from mirsb_build.records import BuildOrder
    from mirsb_build.views import Funnel


def demo(store: options.StoreUrl = options.STORE, as_json: options.Json = False) -> None:
    """Run all seven stages on the offline profile, with a simulated review."""
    from mirsb_build.cli import render

    result = _run(options.order_of("demo", "offline", store, ("review.mode=simulated",)), as_json)
    if not as_json:
        render.next_steps(result, store)


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
    prefect: options.Prefect = False,
    store: options.StoreUrl = options.STORE,
    as_json: options.Json = False,
) -> None:
    """Run a build, or go on with it; what is finished is not done again."""
    changed = options.settings_of(
        settings, seeds_per_category, category, relation, limit, target_per_cell, max_cost, max_calls
    )
    order = options.order_of(build, profile, store, changed).model_copy(update={"retry_dead": retry_dead})
    _run(order, as_json, seeds_per_category, prefect)


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
    from mirsb_build.build.plan import plan as plan_of
    from mirsb_build.cli import render

    changed = options.settings_of(
        settings, seeds_per_category, category, relation, limit, target_per_cell, max_cost, max_calls
    )
    left = plan_of(_opened(options.order_of(build, profile, store, changed), seeds_per_category))
    render.json_of(left) if as_json else render.plan(left)


def _opened(order: BuildOrder, seeds_per_category: int | None) -> Context:
    """The build; raises UsageError for a number of seed queries where targets say how many there are."""
    from mirsb_build.build.context import open_context

    opened = open_context(order)
    if opened.targets and seeds_per_category is not None:
        raise UsageError("targets have as many seed queries written as they need; leave out --seeds-per-category")
    return opened


def _run(order: BuildOrder, as_json: bool, seeds_per_category: int | None = None, prefect: bool = False) -> Funnel:
    """Run what is left of a build and show how it ended; raises WaitingForReview when people have to decide."""
    from mirsb_build.build.finish import nothing_left
    from mirsb_build.cli import render

    opened = _opened(order, seeds_per_category)
    with_prefect = prefect or bool(os.environ.get("PREFECT_API_URL"))
    if opened.profile.runner.kind == "dask" and not with_prefect:
        raise UsageError(
            "runner.kind dask needs Prefect's server: start one with `prefect server start`, and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api; or leave --set runner.kind out"
        )
    left = nothing_left(opened)
    finished = left is not None
    result = left or _run_to_its_end(opened, with_prefect, as_json)
    render.json_of(result) if as_json else render.outcome(result, opened.store, already=finished)
    if result.awaiting_review:
        raise WaitingForReview(
            f"build {order.build}: {result.awaiting_review} instances wait for review; `mirsb review export "
            f"{order.build} --to FILE.jsonl`, decide, `mirsb review import {order.build} FILE.jsonl`"
        )
    return result


def _run_to_its_end(opened: Context, with_prefect: bool, as_json: bool) -> Funnel:
    """Run the method in this process, or as a Prefect flow, and count the build."""
    from mirsb_build.build.scheduler import Threads, run_build, shards_at_once
    from mirsb_build.cli import render
    from mirsb_build.cli.interrupts import promptly
    from mirsb_build.views import read_funnel

    try:
        with render.progress(), promptly():
            if with_prefect:
                from mirsb_build.cli.prefect_runtime import run_flow

                run_flow(opened.order)
            else:
                run_build(opened, Threads(shards_at_once(opened.profile)))
    except BudgetReached:
        if not as_json:
            render.shortages(read_funnel(opened.store, opened.name))
        raise
    return read_funnel(opened.store, opened.name)
