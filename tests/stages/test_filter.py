"""Filter: every check's verdict on every candidate, the same however the build is cut into shards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.PngImagePlugin import PngImageFile

from mirsb_build.checks import open_checks
from mirsb_build.config.taxonomy import Policy, PolicyRule, Taxonomy, load_taxonomy
from mirsb_build.images import Images
from mirsb_build.ports import Case, Check, Evidence, Peers
from mirsb_build.records import Candidate, Exclusion, Verdict
from mirsb_build.stages.filter import Filter
from mirsb_build.store import Store
from tests.factories import NoiseBackend, candidate, noise, picture, png, seed_query, stored_image, verdict

CHECKS: dict[str, dict[str, Any] | None] = {
    "structure": {},
    "policy": {},
    "lexical_leakage": {},
    "integrity": {"min_side": 64},
    "image_duplicates": {},
}
OURS = load_taxonomy()
DUCKS = PolicyRule(name="no-ducks", why="Ducks are left in peace.", all_of=(("duck", "ducks"),))


def drawn(store: Store, number: int, *seeds: int) -> Candidate:
    """Candidate number so-and-so, with one stored image of noise a seed."""
    pictures = tuple(picture(f"Thing {s}.", f"thing{s}", image=stored_image(store, s)) for s in seeds)
    return candidate(seed_query=seed_query(f"How can I hum tune number {number}?"), pictures=pictures)


def stage(store: Store, taxonomy: Taxonomy, *peers: Candidate, checks: list[Check] | None = None) -> Filter:
    checks = open_checks(CHECKS, taxonomy) if checks is None else checks
    return Filter(checks, Images(NoiseBackend(), store), taxonomy, peers)


def judge(filter: Filter, *candidates: Candidate) -> list[Candidate]:
    return asyncio.run(filter.run(candidates))


def failed(one: Candidate) -> set[str]:
    return {v.check for v in one.failures}


class Picky:
    """A check that breaks on one candidate."""

    name = "picky"
    version = "3"
    options: dict[str, Any] = {}

    def __init__(self, on: str) -> None:
        self._on = on

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        if candidate.id == self._on:
            raise ZeroDivisionError("no such\nthing")
        return verdict(check=self.name)


class Looking:
    """A check that remembers what it was shown."""

    name = "looking"
    version = "1"
    options: dict[str, Any] = {}

    def __init__(self) -> None:
        self.seen: list[Evidence] = []

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        self.seen.append(evidence)
        return verdict("abstain", check=self.name)


# Verdicts


def test_every_check_gives_its_verdict_in_the_order_of_the_profile(memory_store: Store, taxonomy: Taxonomy) -> None:
    one = drawn(memory_store, 1, 1, 2)
    checks = open_checks(CHECKS, taxonomy)
    [judged] = judge(stage(memory_store, taxonomy, one, checks=checks), one)
    assert [v.check for v in judged.verdicts] == [check.name for check in checks]
    assert judged.passed
    assert judged.revision == one.revision


def test_a_check_that_breaks_fails_that_candidate_and_no_other(memory_store: Store, taxonomy: Taxonomy) -> None:
    one, other = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4)
    checks = [Picky(one.id), *open_checks(CHECKS, taxonomy)]
    judged, fine = judge(stage(memory_store, taxonomy, one, other, checks=checks), one, other)
    assert failed(judged) == {"picky"}
    [broke] = judged.failures
    assert broke.version == "3"
    assert broke.reason.startswith("the check broke: ZeroDivisionError: no such")
    assert len(judged.verdicts) == len(checks), "the other checks are heard all the same"
    assert fine.passed


class Batching(Looking):
    """A check whose model takes several candidates at once, and breaks where it is to take a certain one."""

    def __init__(self, breaks_on: str = "") -> None:
        super().__init__()
        self._breaks_on = breaks_on
        self.batches: list[int] = []

    def judge_all(self, cases: Sequence[Case]) -> list[Verdict]:
        if self._breaks_on in {one.id for one, _ in cases}:
            raise MemoryError("too many")
        self.batches.append(len(cases))
        return [self.judge(*case) for case in cases]


def test_a_check_that_takes_batches_gets_them_and_each_candidate_alone_where_that_breaks(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    ones = [drawn(memory_store, n, 2 * n, 2 * n + 1) for n in range(20)]
    check = Batching()
    found = judge(stage(memory_store, taxonomy, checks=[check]), *ones)
    assert [len(one.verdicts) for one in found] == [1] * 20
    assert sum(check.batches) == 20
    assert len(check.batches) < 20
    broken = Batching(breaks_on=ones[0].id)
    assert [one.verdicts for one in judge(stage(memory_store, taxonomy, checks=[broken]), *ones)] == [
        one.verdicts for one in found
    ]


class Costly(Looking):
    """A check that is dear."""

    name = "costly"
    costly = True


def test_a_costly_check_judges_only_what_the_others_let_through_whatever_its_place_in_the_profile(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    one, other = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4)
    check = Costly()
    failed_one, fine = judge(stage(memory_store, taxonomy, checks=[check, Picky(one.id)]), one, other)
    assert [v.check for v in failed_one.verdicts] == ["picky"]
    assert [v.check for v in fine.verdicts] == ["costly", "picky"], "verdicts stand in the profile's order"
    assert len(check.seen) == 1


def test_checks_see_the_images_in_picture_order_and_the_relation_type(memory_store: Store, taxonomy: Taxonomy) -> None:
    look = Looking()
    judge(stage(memory_store, taxonomy, checks=[look]), drawn(memory_store, 1, 5, 6))
    [seen] = look.seen
    assert [png(p) for p in seen.pixels] == [png(noise(5)), png(noise(6))]
    assert seen.broken == ()
    assert seen.relation_type == taxonomy.relation_type("Causality")


@pytest.mark.parametrize("data", [b"", b"no picture", png(noise(1))[:200]])
def test_an_image_that_does_not_decode_fails_integrity_and_not_the_build(
    memory_store: Store, taxonomy: Taxonomy, data: bytes
) -> None:
    whole = stored_image(memory_store, 1)
    broken = whole.model_copy(update={"id": memory_store.put_blob(data, "png")})
    one = candidate(pictures=(picture("A chair.", image=whole), picture("A lamp.", "lamp", image=broken)))
    [judged] = judge(stage(memory_store, taxonomy, one), one)
    integrity = next(v for v in judged.verdicts if v.check == "integrity")
    assert integrity.outcome == "fail"
    assert integrity.reason.startswith("picture 2 does not decode: ")


def test_an_image_is_decoded_once_however_many_checks_look_at_it(
    memory_store: Store, taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    prepare = PngImageFile.load_prepare
    monkeypatch.setattr(PngImageFile, "load_prepare", lambda self: (decoded.append(self), prepare(self))[1])
    look = {
        name: CHECKS.get(name, {})
        for name in ("integrity", "ocr_leakage", "nsfw", "image_text_match", "image_duplicates")
    }
    one, other = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4, 5)
    checks = open_checks(look, taxonomy)
    judged = judge(stage(memory_store, taxonomy, one, other, checks=checks), one, other)
    assert [len(c.verdicts) for c in judged] == [len(checks)] * 2
    assert len(decoded) == 5


def test_dead_and_excluded_candidates_pass_through_without_a_verdict(memory_store: Store, taxonomy: Taxonomy) -> None:
    dead = candidate(problem="no reply", pictures=())
    excluded = candidate(excluded=Exclusion(rule="r", where="image", explanation="so"), pictures=(), prompt="")
    one = drawn(memory_store, 1, 1, 2)
    judged = judge(stage(memory_store, taxonomy, dead, one, excluded), dead, one, excluded)
    assert (judged[0], judged[2]) == (dead, excluded)
    assert judged[1].passed


def test_a_candidate_that_repeats_one_that_passed_in_an_earlier_round_fails(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    earlier = drawn(memory_store, 1, 1, 2)
    late = drawn(memory_store, 2, 2, 1).model_copy(update={"round": 2})
    [judged] = judge(stage(memory_store, taxonomy, earlier, late), late)
    assert failed(judged) == {"image_duplicates"}


# Shards

builds = st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=3), min_size=1, max_size=7)


@settings(max_examples=15)
@given(seeds=builds, size=st.integers(1, 7))
def test_the_verdicts_do_not_depend_on_the_size_of_the_shards_or_which_is_done_first(
    memory_store: Store, seeds: list[list[int]], size: int
) -> None:
    everyone = [drawn(memory_store, n, *group) for n, group in enumerate(seeds)]
    checks = open_checks(CHECKS, OURS)
    at_once = judge(stage(memory_store, OURS, *everyone, checks=checks), *everyone)
    cuts = [everyone[start : start + size] for start in range(0, len(everyone), size)]
    filter = stage(memory_store, OURS, *everyone, checks=checks)
    last_first = [judge(filter, *cut) for cut in reversed(cuts)]
    assert [c for cut in reversed(last_first) for c in cut] == at_once


# What its result depends on


def test_the_key_changes_with_the_checks_their_options_the_candidates_and_their_peers(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    one, other = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4)
    newer = open_checks(CHECKS, taxonomy)
    newer[0].version = "next"
    relation = taxonomy.relation_type("Causality").model_copy(update={"max_pictures": 2})
    stricter = taxonomy.model_copy(update={"policy": Policy(rules=(*taxonomy.policy.rules, DUCKS))})
    fewer = taxonomy.model_copy(update={"relation_types": {**taxonomy.relation_types, "Causality": relation}})

    def key(known: Taxonomy = taxonomy, peers: tuple[Candidate, ...] = (one,), **options: Any) -> str:
        checks = options.pop("checks", None) or open_checks({**CHECKS, **options}, known)
        return stage(memory_store, known, *peers, checks=checks).key([one])

    keys = [
        key(),
        key(peers=(one, other)),
        key(peers=(other, one)),
        key(leakage={"threshold": 0.5}),
        key(leakage=None),
        key(checks=newer),
        key(stricter),
        key(fewer),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]
    assert key(leakage={"threshold": 0.34}) == keys[0], "a default that is written out is no change"


def test_peers_are_known_by_what_they_are_and_in_which_order(memory_store: Store) -> None:
    one, other = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4)
    assert Peers([one, other]).hash == Peers([one, other]).hash != Peers([other, one]).hash
    judged = one.model_copy(update={"verdicts": (verdict(),)})
    assert Peers([judged]).hash == Peers([one]).hash, "what was said of one does not change what it is"
