"""Builds with targets: more seeds and rounds for short cells, a reserve, and a reason where a cell stays short."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mirsb_build.build.context import Context, open_context
from mirsb_build.build.plan import plan
from mirsb_build.errors import BudgetReached, ModelError, UnknownName, UsageError
from mirsb_build.history import History
from mirsb_build.records import Decision, Instance, ReviewItem
from mirsb_build.review import DecisionLog
from mirsb_build.views import Funnel, funnel
from tests.factories import files_in, finish, order, run, stop_after

PEOPLE = ("relation_types=[Analogy, Relevance]", "review.mode=people", "targets.per_cell=3")
"""Four cells of three instances each."""


def counted(build: Context) -> Funnel:
    return funnel(History(build.store, build.name))


def instances(build: Context) -> list[Instance]:
    return list(build.store.records(build.name, "review_import", 0, Instance))


def decide(build: Context, word: str, count: int | None = None) -> None:
    """Say a word on the first instances of the first cell that await it, or on all that do."""
    items = {i.instance: i for i in build.store.records(build.name, "review_export", 0, ReviewItem)}
    waiting = [items[i.id] for i in instances(build) if i.outcome == "awaiting"]
    if count is not None:
        waiting = [item for item in waiting if item.cell == ("Privacy", "Analogy")][:count]
    said = [
        Decision(instance=i.instance, checksum=i.checksum, reviewer="ada", decision=word)  # type: ignore[arg-type]
        for i in waiting
    ]
    assert DecisionLog(build.store, build.name).append(said)


def outcomes_of(build: Context) -> dict[tuple[str, str], Counter[str]]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for instance in instances(build):
        found.setdefault(instance.candidate.cell, Counter())[instance.outcome] += 1
    return found


def test_every_cell_gets_its_instances_and_the_others_are_kept_in_reserve(folder: Path) -> None:
    build = finish(folder, *PEOPLE)
    result = counted(build)
    assert all(cell.passed >= cell.target == 3 for cell in result.cells)
    assert not any(cell.missing or cell.why_missing for cell in result.cells)
    assert result.awaiting_review == 12
    assert result.reserve == result.passed - 12 > 0
    assert all(found["awaiting"] == 3 for found in outcomes_of(build).values())


def test_more_seeds_are_written_where_the_first_are_not_enough(folder: Path) -> None:
    few = ("seeds.per_call=2", "targets.per_cell=12", "relation_types=[Relevance]")
    build = finish(folder, *few)
    assert len(build.store.rounds("tiny", "seeds")) > 1
    assert all(cell.passed >= 12 for cell in counted(build).cells)
    texts = [seed.text for batch in History(build.store, "tiny").batches for seed in batch.seeds]
    assert len(set(texts)) == len(texts)


def test_what_reviewers_reject_comes_from_the_reserve_and_then_from_new_candidates(folder: Path) -> None:
    build = finish(folder, *PEOPLE)
    reserve = outcomes_of(build)["Privacy", "Analogy"]["reserve"]
    before = counted(build).candidates

    decide(build, "reject", 1)
    run(build)
    found = outcomes_of(build)["Privacy", "Analogy"]
    assert (found["rejected"], found["awaiting"], found["reserve"]) == (1, 3, reserve - 1)

    while outcomes_of(build)["Privacy", "Analogy"]["reserve"]:
        decide(build, "reject", 1)
        run(build)
    decide(build, "reject", 3)
    run(build)
    assert counted(build).candidates > before, "the reserve is used up"
    found = outcomes_of(build)["Privacy", "Analogy"]
    assert found["rejected"] >= 4
    assert found["awaiting"] == 3

    decide(build, "accept")
    run(build)
    result = counted(build)
    assert (result.accepted, result.released, result.awaiting_review) == (12, 12, 0)
    assert all(cell.accepted == 3 for cell in result.cells)


def test_a_build_that_has_its_instances_is_not_touched_again(folder: Path) -> None:
    finish(folder, *PEOPLE)
    before = files_in(folder)
    again = finish(folder, *PEOPLE)
    assert files_in(folder) == before
    assert (again.models.calls_made, again.images.images_made) == (0, 0)


@pytest.mark.parametrize("shards", [1, 4, 7])
def test_a_build_with_targets_goes_on_where_it_was_stopped(folder: Path, tmp_path: Path, shards: int) -> None:
    few = (*PEOPLE, "limits.shard_size=3")
    whole = finish(tmp_path / "whole", *few)
    stopped = open_context(order(folder, *few))
    stop_after(stopped, shards)
    result = counted(stopped)
    assert result.candidates == result.passed + result.failed + result.dead + result.open
    again = finish(folder, *few)
    assert instances(again) == instances(whole)
    assert stopped.models.calls_made + again.models.calls_made == whole.models.calls_made


# Cells that stay short


def reasons(build: Context) -> set[str]:
    return {cell.why_missing for cell in counted(build).cells if cell.missing}


def test_a_limit_of_candidates_is_named_where_cells_stay_short(folder: Path) -> None:
    build = finish(folder, "targets.per_cell=3", "limits.candidates=20")
    result = counted(build)
    assert result.candidates == 20
    assert reasons(build) == {"the limit of 20 candidates is reached"}


def test_a_cell_that_never_passes_is_given_up_after_so_many_tries(folder: Path) -> None:
    never = ("checks.lexical_leakage.threshold=0.01", "checks.lexical_duplicates=null", "targets.tries=2")
    build = finish(
        folder, *never, "relation_types=[Relevance]", "targets.per_cell=2", "checks.integrity.min_spread=500"
    )
    assert counted(build).passed == 0
    assert reasons(build) == {"4 candidates were tried, 2 for each wanted instance"}


def test_a_seed_writer_that_brings_no_more_is_named(folder: Path) -> None:
    build = finish(folder, "relation_types=[Analogy]", "targets.per_cell=2000", "limits.max_iterations=1", *MANY)
    assert reasons(build) == {f"the seed writer brings no more seed queries of {c}" for c in ("Harassment", "Privacy")}
    assert set(counted(build).seeds_missing) == {"Harassment", "Privacy"}


MANY = ("seeds.per_call=100", "images.width=64", "images.height=64", "checks.integrity.min_spread=500")
"""Everything fails quickly."""


def test_a_budget_that_is_used_up_is_named(folder: Path) -> None:
    build = open_context(order(folder, *PEOPLE, "limits.calls=8"))
    with pytest.raises(BudgetReached):
        run(build)
    assert reasons(build) == {"the build has not got there yet (budget: calls 8)"}


# Bad input, and the plan


def test_names_that_are_none_are_answered_before_anything_is_made(folder: Path) -> None:
    with pytest.raises(UnknownName, match="unknown relation type 'Analogi'; did you mean 'Analogy'"):
        open_context(order(folder, "targets.relation_types={Analogi: 3}"))
    with pytest.raises(UnknownName, match="unknown risk category 'Privasy'; did you mean 'Privacy'"):
        open_context(order(folder, "targets.cells={Privasy: {Analogy: 3}}"))
    with pytest.raises(ModelError, match="embedder 'nowhere' is not there"):
        run(open_context(order(folder, "targets.per_cell=3", "targets.embedder=nowhere")))
    assert not folder.exists()


def test_a_table_is_used_as_far_as_its_relation_types_are_built(folder: Path) -> None:
    table = "targets.relation_types={Analogy: 3, Causality: 50}"
    build = finish(folder, table, "relation_types=[Analogy]")
    assert {(c.risk_category, c.target) for c in counted(build).cells} == {("Harassment", 1), ("Privacy", 0)}
    with pytest.raises(UsageError, match="its targets want nothing of what is built"):
        open_context(order(folder, "targets.relation_types={Causality: 50}", "relation_types=[Analogy]"))


def test_the_plan_of_a_build_with_targets_counts_the_candidates_that_they_ask_for(folder: Path) -> None:
    build = open_context(order(folder, *PEOPLE))
    seeds, first, *_ = plan(build).lines
    assert (seeds.stage, seeds.records, seeds.calls) == ("seeds", 20, 2)
    growth = build.growth()
    growth.orders()
    assert (first.stage, first.records) == ("decompose", growth.expected)
    assert 12 < first.records < 24


# What reviewers turn down


def test_what_is_to_be_revised_is_made_up_for_like_what_is_rejected(folder: Path) -> None:
    build = finish(folder, *PEOPLE)
    decide(build, "revise")
    assert {cell.missing for cell in counted(build).cells} == {0}, "nothing was imported yet"
    run(build)
    for _ in range(2):
        decide(build, "revise")
        run(build)
    assert all(found["awaiting"] == 3 for found in outcomes_of(build).values())
    decide(build, "accept")
    run(build)
    assert counted(build).released == 12


def test_what_was_made_up_for_stays_when_reviewers_come_round_to_an_instance(folder: Path) -> None:
    two = (*PEOPLE, "review.reviewers=2")
    build = finish(folder, *two)

    def say(word: str, *reviewers: str, only: set[str] | None = None) -> set[str]:
        items = {i.instance: i for i in build.store.records(build.name, "review_export", 0, ReviewItem)}
        chosen = only or {i.id for i in instances(build) if i.outcome == "awaiting"}
        for reviewer in reviewers:
            DecisionLog(build.store, build.name).append(
                [
                    Decision.model_validate(
                        {"instance": id, "checksum": items[id].checksum, "reviewer": reviewer, "decision": word}
                    )
                    for id in sorted(chosen)
                ]
            )
        run(build)
        return chosen

    first = say("reject", "ada", "bo")
    while any(i.outcome == "awaiting" for i in instances(build)) and not counted(build).released:
        accepted = say("accept", "ada", "bo")
    say("accept", "cy", "di", only=first)
    still = {i.id for i in instances(build) if i.outcome == "accepted"}
    assert accepted <= still
    assert counted(build).candidates >= len(first | accepted)


# What an earlier run has left behind


def test_a_stopped_run_is_not_counted_with_what_an_earlier_one_left_behind(folder: Path) -> None:
    finish(folder, *PEOPLE)
    changed = open_context(order(folder, *PEOPLE, "checks.integrity.min_spread=500", "limits.calls=40"))
    with pytest.raises(BudgetReached):
        run(changed)
    result = counted(changed)
    assert result.passed == 0, "by the check as it is now"
    assert result.awaiting_review == result.accepted == result.reserve == 0
    assert all(cell.missing == 3 for cell in result.cells)
    assert result.candidates == result.passed + result.failed + result.dead + result.open
    assert finish(folder, *PEOPLE).models.calls_made == 0, "and back again: everything is in the cache"
