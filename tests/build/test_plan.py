"""The plan: what a build would do next, by looking only."""

from __future__ import annotations

from pathlib import Path

from mirsb_build.build.context import Context, open_context
from mirsb_build.build.plan import Plan, plan
from mirsb_build.records import BuildOrder
from tests.factories import at_work, begun, files_in, finish, order

FEW = ("relation_types=[Analogy, Relevance]",)
"""Four candidates."""


def planned(ordered: BuildOrder) -> Plan:
    return plan(open_context(ordered))


def test_the_plan_of_a_new_build_counts_its_seeds_and_expects_its_rounds(folder: Path) -> None:
    new = planned(order(folder))
    seeds, *rounds = new.lines
    assert (seeds.stage, seeds.records, seeds.calls, seeds.expected) == ("seeds", 2, 2, False)
    assert seeds.prompt_tokens > 100
    assert [(line.stage, line.round, line.records) for line in rounds] == [
        ("decompose", 1, 18),
        ("decompose", 2, 9),
        ("decompose", 3, 5),
    ]
    assert all(line.expected and line.calls == line.records and line.images >= 2 * line.records for line in rounds)
    assert new.calls == 2 + 18 + 9 + 5
    assert new.cost == 0


def test_planning_calls_nothing_and_writes_nothing(folder: Path) -> None:
    planned(order(folder, *FEW))
    assert not folder.exists()
    finish(folder, *FEW, "limits.max_iterations=1")
    before = files_in(folder)
    planned(order(folder, *FEW))
    assert files_in(folder) == before


def test_a_plan_is_kept_to(folder: Path) -> None:
    """Round one is planned to the call and the token; then it is run."""
    ordered = order(folder)
    build = open_context(ordered)
    with at_work(build) as each:
        seeds = each(build.seeds, build.growth().orders())
    first = planned(ordered).lines[0]
    assert (first.stage, first.round, first.expected) == ("decompose", 1, False)
    before = build.models.calls_made
    with at_work(build) as each:
        drafts = each(build.decompose, begun(build, seeds), 1)
    assert build.models.calls_made - before == first.calls == 18
    drawn = planned(ordered).lines[0]
    assert (drawn.stage, drawn.calls) == ("synthesize", 0)
    assert drawn.images == sum(len(c.pictures) for c in drafts)
    with at_work(build) as each:
        each(build.synthesize, drafts, 1)
    assert build.images.images_made <= drawn.images
    assert planned(ordered).lines[0].stage == "filter"


def test_nothing_is_planned_for_a_finished_build(finished: Context) -> None:
    left = planned(finished.order)
    assert (left.lines, left.calls, left.images) == ((), 0, 0)


def test_another_build_of_the_same_store_is_answered_by_the_cache(finished_copy: Context, folder: Path) -> None:
    other = order(folder, build="other")
    seeds = planned(other).lines[0]
    assert (seeds.calls, seeds.cached_calls) == (0, 2)
    build = open_context(other)
    with at_work(build) as each:
        each(build.seeds, build.growth().orders())
    drafts = planned(other).lines[0]
    assert (drafts.stage, drafts.calls, drafts.cached_calls, drafts.prompt_tokens) == ("decompose", 0, 18, 0)


def test_calls_that_follow_on_a_cached_one_are_found_in_the_cache_too(folder: Path) -> None:
    many = (*FEW, "seeds.per_category=15", "limits.candidates=2", "limits.max_iterations=1", "review.mode=people")
    finish(folder, *many)  # ten seeds a call: two calls a category
    seeds = planned(order(folder, *many, build="other")).lines[0]
    assert (seeds.calls, seeds.cached_calls) == (0, 4)


def test_images_that_another_build_has_made_are_not_planned_again(folder: Path) -> None:
    ordered = order(folder, *FEW, build="other")
    finish(folder, *FEW)
    build = open_context(ordered)
    with at_work(build) as each:
        seeds = each(build.seeds, build.growth().orders())
        each(build.decompose, begun(build, seeds), 1)
    drawn = planned(ordered).lines[0]
    assert (drawn.stage, drawn.images) == ("synthesize", 0)


def test_a_limit_and_a_choice_of_cells_make_the_plan_smaller(folder: Path) -> None:
    few = planned(order(folder, "limits.candidates=4"))
    assert [line.records for line in few.lines] == [2, 4, 2, 1]
    one = planned(order(folder, "relation_types=[Analogy]", "seeds.categories=[Privacy]"))
    assert [line.records for line in one.lines] == [1, 1]


def test_a_changed_setting_plans_what_depends_on_it_and_no_more(finished_copy: Context, folder: Path) -> None:
    looser = planned(order(folder, "checks.lexical_leakage.threshold=0.9"))
    assert (looser.lines[0].stage, looser.lines[0].calls, looser.lines[0].images) == ("filter", 0, 0)
    larger = planned(order(folder, "images.width=160"))
    assert (larger.lines[0].stage, larger.lines[0].calls) == ("synthesize", 0)
    titled = planned(order(folder, "release.title=Other"))
    assert [line.stage for line in titled.lines] == ["publish"]


def test_a_build_that_waits_for_people_has_nothing_left_to_do_itself(folder: Path) -> None:
    by_people = finish(folder, *FEW, "review.mode=people")
    assert planned(by_people.order).lines == ()


JUDGED = """
extends: offline
models:
  necessity_judge: {backend: openai, model: judge, base_url: "http://127.0.0.1:1/v1", key_variable: null,
                    prices: {prompt: 1.0, completion: 2.0}}
checks:
  necessity: {}
"""


def test_what_judges_take_is_in_the_plan_as_if_all_candidates_came_to_them(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "judged.yaml").write_text(JUDGED, encoding="utf-8")
    new = planned(order(folder, *FEW, "limits.max_iterations=1", profile=tmp_path / "judged.yaml"))
    [judged] = [line for line in new.lines if line.stage == "filter"]
    assert (judged.round, judged.records, judged.expected) == (1, 4, True)
    assert 4 * (2 + 3) <= judged.calls <= 4 * (4 + 3), "n + 3 for n pictures"
    assert judged.cost > 0
    assert new.cost == judged.cost
    assert new.calls == sum(line.calls for line in new.lines)
    unjudged = planned(order(folder, *FEW, "limits.max_iterations=1"))
    assert new.calls == unjudged.calls + judged.calls
