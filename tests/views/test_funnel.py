"""The funnel: every candidate is counted once, wherever the build has got to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from mirsb_build.build.context import Context, open_context
from mirsb_build.build.method import seven_stages
from mirsb_build.build.scheduler import Made, Make
from mirsb_build.build.scheduler import at_work as scheduling
from mirsb_build.build.shards import ShardTask
from mirsb_build.errors import UnknownName
from mirsb_build.history import History
from mirsb_build.records import Candidate
from mirsb_build.views import Funnel, funnel
from tests.factories import OneByOne, at_work, finish, order


def count(build: Context) -> Funnel:
    counted = funnel(History(build.store, build.name))
    assert counted.candidates == counted.passed + counted.failed + counted.dead + counted.open
    for cell in counted.cells:
        assert cell.candidates == cell.passed + cell.failed + cell.dead + cell.open
    for name in ("candidates", "passed", "failed", "dead", "open", "accepted"):
        assert sum(getattr(cell, name) for cell in counted.cells) == getattr(counted, name)
    return counted


class Stopped(Exception):
    """Raised by a pass that a test does not let run."""


class UpTo(OneByOne):
    """Makes shards up to one pass of a stage, which begins and makes none."""

    def __init__(self, stage: str, round: int) -> None:
        super().__init__()
        self._stop = (stage, round)

    def run(self, tasks: Sequence[ShardTask], make: Make, *, out: bool) -> Iterator[Made]:
        if tasks and (tasks[0].stage, tasks[0].round) == self._stop:
            raise Stopped
        return super().run(tasks, make, out=out)


def run_until(build: Context, stop: tuple[str, int]) -> None:
    with scheduling(build, UpTo(*stop)) as each_shard, pytest.raises(Stopped):
        seven_stages(build, each_shard)


def test_a_finished_build_is_counted_as_it_ended(finished: Context) -> None:
    counted = count(finished)
    assert (counted.build, counted.profile, counted.stage) == ("tiny", "offline", "publish")
    assert (counted.seeds, counted.candidates) == (2, 18)
    assert counted.open == counted.dead == counted.excluded == 0
    assert counted.passed == sum(counted.passed_in_round.values()) == counted.accepted + counted.rejected
    assert counted.awaiting_review == 0
    assert counted.simulated_review
    assert (counted.release, counted.released) == ("1", counted.accepted)
    assert counted.tokens > 0 and counted.cost == 0
    assert len(counted.cells) == 18


def test_what_was_counted_is_what_the_records_say(finished: Context) -> None:
    counted = count(finished)
    store = finished.store
    rounds = store.rounds("tiny", "filter")
    judged = [c for k in rounds for c in store.records("tiny", "filter", k, Candidate)]
    verdicts = Counter((v.check, c.round, v.outcome) for c in judged for v in c.verdicts)
    for row in counted.checks:
        assert row.failed == verdicts[row.check, row.round, "fail"]
        assert row.passed == verdicts[row.check, row.round, "pass"]
    assert counted.images == len({p.image.id for c in judged for p in c.pictures if p.image})
    assert counted.calls == 2 + len(judged), "a call a category, then one a candidate and round"


@pytest.mark.parametrize("stop", [("seeds", 0), ("decompose", 1), ("synthesize", 1), ("filter", 1), ("decompose", 2)])
def test_a_build_that_was_stopped_is_counted_as_far_as_it_got(folder: Any, stop: tuple[str, int]) -> None:
    build = open_context(order(folder))
    run_until(build, stop)
    counted = count(build)
    passed_by_then = stop[1] == 2
    assert counted.candidates == (0 if stop[0] == "seeds" else 18)
    assert (counted.passed > 0) == passed_by_then
    assert counted.open == counted.candidates - counted.passed
    assert counted.accepted == counted.failed == 0
    assert counted.awaiting_review == counted.passed
    assert counted.release is None


def test_a_build_of_which_nothing_is_made_yet_can_be_looked_at(folder: Any) -> None:
    build = open_context(order(folder))
    with at_work(build):
        pass
    counted = count(build)
    assert (counted.stage, counted.seeds, counted.candidates) == ("nothing yet", 0, 0)


def test_a_build_that_was_ordered_otherwise_and_stopped_at_once_can_be_looked_at(
    finished_copy: Context, folder: Any
) -> None:
    """Ordered for another category, and killed before its seeds were written."""
    other = open_context(order(folder, "seeds.categories=[Violence]"))
    with at_work(other):
        pass
    assert count(other).candidates == 0


def test_candidates_that_failed_their_last_round_are_failed_and_not_open(folder: Any) -> None:
    build = finish(folder, "limits.max_iterations=1")
    counted = count(build)
    assert counted.failed == 18 - counted.passed > 0
    assert counted.open == 0


def test_a_longer_build_opens_again_what_had_failed(folder: Any) -> None:
    short = count(finish(folder, "limits.max_iterations=1"))
    longer = open_context(order(folder))
    with at_work(longer):
        reopened = count(longer)
    assert (reopened.failed, reopened.open) == (0, short.failed)


def test_what_the_policy_excluded_is_counted_by_rule_and_in_no_other_number(folder: Any, tmp_path: Any) -> None:
    """A rule of the user's own against what many pictures of the offline model show."""
    rule = "rules: [{name: no-people, why: Nobody is shown., where: [image], all_of: [[person, woman, man]]}]\n"
    (tmp_path / "mine/taxonomy").mkdir(parents=True)
    (tmp_path / "mine/taxonomy/policy.yaml").write_text(rule, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("extends: offline\nfolders: [mine]\n", encoding="utf-8")
    counted = count(finish(folder, "review.mode=people", profile=tmp_path / "mine.yaml"))
    assert counted.excluded_by_rule == {"no-people": counted.excluded}
    assert 0 < counted.excluded == 18 - counted.candidates


def test_a_review_by_people_is_waited_for(folder: Any) -> None:
    counted = count(finish(folder, "review.mode=people", "limits.candidates=4", "limits.max_iterations=1"))
    assert counted.awaiting_review == counted.passed > 0
    assert (counted.accepted, counted.release, counted.simulated_review) == (0, None, False)


def test_an_unknown_build_is_answered_with_the_nearest(finished: Context) -> None:
    with pytest.raises(UnknownName, match=f"store {finished.store.url}: unknown build 'tinny'; did you mean 'tiny'"):
        History(finished.store, "tinny")


def test_damaged_shards_are_left_out_and_not_stumbled_over(finished_copy: Context, folder: Any) -> None:
    for shard in folder.glob("builds/tiny/*/round-*/shard-0000.jsonl"):
        if "seeds" not in str(shard):
            shard.write_bytes(shard.read_bytes()[:-7])
    counted = count(finished_copy)
    assert counted.candidates == 18
    assert counted.open > 0
