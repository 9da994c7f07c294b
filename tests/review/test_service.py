"""Review as a service: what waits, handed out and taken back, also while a run is at work on the build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mirsb_build.build.context import open_context
from mirsb_build.errors import BadFile, UnknownName, UsageError
from mirsb_build.records import Decision, ReviewItem
from mirsb_build.review import DecisionLog, ReviewService
from mirsb_build.store import Store, build_lock
from tests.factories import at_work as at_work_on
from tests.factories import finish, order, run

PEOPLE = ("review.mode=people", "review.reviewers=1", "limits.candidates=4")


def said(items: Sequence[ReviewItem], word: str = "accept", reviewer: str = "ada") -> list[Decision]:
    return [
        Decision.model_validate(
            {"instance": i.instance, "checksum": i.checksum, "reviewer": reviewer, "decision": word}
        )
        for i in items
    ]


@pytest.fixture
def service(folder: Path) -> ReviewService:
    build = finish(folder, *PEOPLE)
    return ReviewService(build.store, build.name)


def test_decisions_are_taken_in_and_what_still_waits_is_counted(service: ReviewService) -> None:
    first, *others = service.waiting()
    imported = service.add(said([first]), "the page")
    assert (imported.decisions, imported.added, imported.awaiting) == (1, True, len(others))
    assert not service.add(said([first]), "the page").added, "the very same ones again"
    assert [item.instance for item in service.waiting()] == [item.instance for item in others]


def test_reviewers_save_while_a_run_is_at_work(service: ReviewService, folder: Path) -> None:
    with build_lock(Store(str(folder)).files, "tiny"):
        assert service.add(said(service.waiting()), "the page").awaiting == 0


def test_a_run_decides_with_the_decisions_that_it_found_when_it_began(service: ReviewService, folder: Path) -> None:
    build = open_context(order(folder, *PEOPLE))
    waiting = service.waiting()
    with at_work_on(build):
        assert build.decisions == []
        service.add(said(waiting), "the page")
        assert build.decisions == []
    run(build)
    assert {d.instance for d in build.decisions} == {item.instance for item in waiting}


def test_what_is_not_under_review_is_refused_and_nothing_is_saved(service: ReviewService, folder: Path) -> None:
    first, other = service.waiting()[:2]
    unknown = first.model_copy(update={"instance": "0" * 16})
    changed = other.model_copy(update={"checksum": "0" * 64})
    with pytest.raises(UnknownName):
        service.add(said([first, unknown]), "the page")
    with pytest.raises(BadFile, match="has changed since it was exported"):
        service.add(said([first, changed]), "the page")
    assert DecisionLog(Store(str(folder)), "tiny").read() == []


def test_a_build_that_is_not_there_or_not_so_far_is_named(store: Store, folder: Path) -> None:
    with pytest.raises(UnknownName, match="unknown build 'tiny'"):
        ReviewService(store, "tiny")
    build = open_context(order(folder, *PEOPLE))
    with at_work_on(build):
        pass
    with pytest.raises(UsageError, match="nothing is ready for review yet"):
        ReviewService(store, "tiny").waiting()


def test_an_unknown_format_is_named(service: ReviewService, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown format 'jsonlines'"):
        service.export("jsonlines", tmp_path / "out")
    assert not (tmp_path / "out").exists()
