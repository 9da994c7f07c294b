"""Filter: every check's verdict on every candidate, given once, and the same however the build is cut into shards."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.PngImagePlugin import PngImageFile

from mirsb_build.checks import open_checks
from mirsb_build.config.taxonomy import Policy, PolicyRule, Taxonomy, load_taxonomy
from mirsb_build.errors import BudgetReached, CannotJudge, Damaged
from mirsb_build.images import Images
from mirsb_build.ports import AnyCheck, BatchCheck, Case, Check, Entry, Evidence, Finding, ModelCheck
from mirsb_build.records import Candidate, Exclusion
from mirsb_build.stages.comparison import Compare
from mirsb_build.stages.filter import Filter
from mirsb_build.store import Store
from mirsb_build.store.verdicts import VerdictStore
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


def stage(
    store: Store, taxonomy: Taxonomy, checks: Sequence[AnyCheck] | None = None, kept: VerdictStore | None = None
) -> Filter:
    checks = open_checks(CHECKS, taxonomy) if checks is None else checks
    return Filter(checks, Images(NoiseBackend(), store), taxonomy, kept)


def judge(filter: Filter, *candidates: Candidate) -> list[Candidate]:
    """Both steps of the stage."""

    async def both() -> list[Candidate]:
        return await filter.settle(await filter.run(candidates))

    return asyncio.run(both())


def outcomes(one: Candidate) -> dict[str, str]:
    return {v.check: v.outcome for v in one.verdicts}


class Looking(Check):
    """A check that remembers what it judged and what it was shown."""

    name = "looking"
    version = "1"
    options: dict[str, Any] = {}

    def __init__(self, outcome: Any = "pass", lacking: str | None = None, on: str = "") -> None:
        """`outcome` is what it finds, or raises, of the candidate with the id `on`, or of all of them."""
        self.judged: list[Candidate] = []
        self.seen: list[tuple[Any, ...]] = []
        self.outcome = outcome
        self.lacking = lacking
        self._on = on

    def lacks(self) -> str | None:
        return self.lacking

    def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
        self.judged.append(candidate)
        self.seen.append(evidence.pixels)
        outcome = self.outcome if self._on in ("", candidate.id) else "pass"
        if isinstance(outcome, Exception):
            raise outcome
        return Finding(outcome, "so it is", feedback="Change it." if outcome == "fail" else "")


class Costly(Looking):
    """A check that is dear."""

    name = "costly"
    costly = True


class Asking(ModelCheck):
    """A check that counts the candidates that it asks a model about."""

    name = "asking"
    version = "1"
    options: dict[str, Any] = {}

    def __init__(self, outcome: Any = "pass") -> None:
        self.judged: list[Candidate] = []
        self.outcome = outcome

    def calls(self, pictures: float) -> dict[str, float]:
        return {"judge": 1.0}

    async def judge(self, candidate: Candidate) -> Finding:
        self.judged.append(candidate)
        return Finding(self.outcome, "so it is")


# Verdicts


def test_every_check_gives_its_verdict_in_the_order_of_the_profile(memory_store: Store, taxonomy: Taxonomy) -> None:
    one = drawn(memory_store, 1, 1, 2)
    checks = [Asking(), Costly(), *open_checks(CHECKS, taxonomy)]
    compared = Compare(checks).attach([one], ())
    [judged] = judge(stage(memory_store, taxonomy, checks), *compared)
    assert [v.check for v in judged.verdicts] == [*(check.name for check in checks[1:]), "asking"]
    assert judged.passed
    assert judged.revision == one.revision


def test_the_candidates_that_go_out_can_be_pickled(memory_store: Store, taxonomy: Taxonomy) -> None:
    checks = open_checks(CHECKS, taxonomy)
    compared = Compare(checks).attach([drawn(memory_store, n, n, n + 9) for n in range(3)], ())
    sent = pickle.loads(pickle.dumps(compared))
    assert sent == compared
    filter = stage(memory_store, taxonomy, checks)
    assert filter.runs == "anywhere"
    assert filter.key(sent) == filter.key(compared)
    assert judge(filter, *sent) == judge(filter, *compared)


def test_a_check_that_breaks_abstains_on_that_candidate_and_no_other(memory_store: Store, taxonomy: Taxonomy) -> None:
    one, other = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4)
    picky = Looking(ZeroDivisionError("no such\nthing"), on=one.id)
    checks = [picky, *open_checks(CHECKS, taxonomy)]
    judged, fine = judge(stage(memory_store, taxonomy, checks), one, other)
    broke = judged.verdicts[0]
    assert (broke.outcome, broke.pending, broke.version) == ("abstain", True, "1")
    assert broke.reason.startswith("the check broke: ZeroDivisionError: no such")
    assert broke.feedback == ""
    assert judged.passed, "a failure of the check is no finding about the candidate"
    assert [v.check for v in judged.verdicts] == [v.check for v in fine.verdicts]
    assert not any(v.pending for v in fine.verdicts)


class Batching(Looking, BatchCheck):
    """A check whose model takes several candidates at once, and breaks where it is to take a certain one."""

    name = "batching"

    def __init__(self, breaks_on: str = "") -> None:
        super().__init__()
        self._breaks_on = breaks_on
        self.batches: list[int] = []

    def judge_all(self, cases: Sequence[Case]) -> list[Finding]:
        if self._breaks_on in {one.id for one, _ in cases}:
            raise MemoryError("too many")
        self.batches.append(len(cases))
        return [self.judge(*case) for case in cases]


def test_a_check_that_takes_batches_gets_them_and_each_candidate_alone_where_that_breaks(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    ones = [drawn(memory_store, n, 2 * n, 2 * n + 1) for n in range(20)]
    check = Batching()
    found = judge(stage(memory_store, taxonomy, [check]), *ones)
    assert [len(one.verdicts) for one in found] == [1] * 20
    assert sum(check.batches) == 20
    assert len(check.batches) < 20
    broken = Batching(breaks_on=ones[0].id)
    assert [one.verdicts for one in judge(stage(memory_store, taxonomy, [broken]), *ones)] == [
        one.verdicts for one in found
    ]


def test_a_costly_check_judges_only_what_the_others_let_through_whatever_its_place_in_the_profile(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    one, other = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4)
    check = Costly()
    failed_one, fine = judge(stage(memory_store, taxonomy, [check, Looking("fail", on=one.id)]), one, other)
    assert outcomes(failed_one) == {"looking": "fail"}
    assert [v.check for v in fine.verdicts] == ["costly", "looking"], "verdicts stand in the profile's order"
    assert check.judged == [other]


def test_what_repeats_another_candidate_is_not_judged_by_costly_checks_or_models(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    one, again = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 2, 1)
    costly, asking = Costly(), Asking()
    checks = [*open_checks({"image_duplicates": {}}, taxonomy), costly, asking]
    judged = judge(stage(memory_store, taxonomy, checks), *Compare(checks).attach([one, again], ()))
    assert [outcomes(c)["image_duplicates"] for c in judged] == ["pass", "fail"]
    assert [c.id for c in costly.judged] == [c.id for c in asking.judged] == [one.id]


def test_checks_see_the_images_in_picture_order_and_the_relation_type(memory_store: Store, taxonomy: Taxonomy) -> None:
    class Asked(Looking):
        def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
            assert evidence.broken == ()
            assert evidence.relation_type == taxonomy.relation_type("Causality")
            return super().judge(candidate, evidence)

    look = Asked()
    [judged] = judge(stage(memory_store, taxonomy, [look]), drawn(memory_store, 1, 5, 6))
    assert judged.passed
    assert [png(p) for p in look.seen[0]] == [png(noise(5)), png(noise(6))]


@pytest.mark.parametrize("data", [b"", b"no picture", png(noise(1))[:200]])
def test_an_image_that_does_not_decode_fails_integrity_and_not_the_build(
    memory_store: Store, taxonomy: Taxonomy, data: bytes
) -> None:
    whole = stored_image(memory_store, 1)
    broken = whole.model_copy(update={"id": memory_store.put_blob(data, "png")})
    one = candidate(pictures=(picture("A chair.", image=whole), picture("A lamp.", "lamp", image=broken)))
    [judged] = judge(stage(memory_store, taxonomy), one)
    integrity = next(v for v in judged.verdicts if v.check == "integrity")
    assert integrity.outcome == "fail"
    assert integrity.reason.startswith("picture 2 does not decode: ")


def test_an_image_is_decoded_once_however_many_checks_look_at_it(
    memory_store: Store, taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    prepare = PngImageFile.load_prepare
    monkeypatch.setattr(PngImageFile, "load_prepare", lambda self: (decoded.append(self), prepare(self))[1])
    look = {name: CHECKS.get(name, {}) for name in ("integrity", "ocr_leakage", "nsfw", "image_text_match")}
    one, other = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4, 5)
    checks = open_checks(look, taxonomy)
    judged = judge(stage(memory_store, taxonomy, checks), one, other)
    assert [len(c.verdicts) for c in judged] == [len(checks)] * 2
    assert len(decoded) == 5


def test_dead_and_excluded_candidates_pass_through_without_a_verdict(memory_store: Store, taxonomy: Taxonomy) -> None:
    dead = candidate(problem="no reply", pictures=())
    excluded = candidate(excluded=Exclusion(rule="r", where="image", explanation="so"), pictures=(), prompt="")
    one = drawn(memory_store, 1, 1, 2)
    judged = judge(stage(memory_store, taxonomy), dead, one, excluded)
    assert (judged[0], judged[2]) == (dead, excluded)
    assert judged[1].passed


def test_an_image_that_is_lost_ends_the_stage_and_is_no_finding(memory_store: Store, taxonomy: Taxonomy) -> None:
    one = drawn(memory_store, 1, 1, 2)
    image = one.pictures[0].image
    assert image
    memory_store.files.delete(memory_store.blob_name(image.id, image.extension))
    for checks in (None, [Batching()]):
        with pytest.raises(Damaged):
            judge(stage(memory_store, taxonomy, checks), one)


# Shards

builds = st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=3), min_size=1, max_size=7)


@settings(max_examples=15)
@given(seeds=builds, size=st.integers(1, 7))
def test_the_verdicts_do_not_depend_on_the_size_of_the_shards_or_which_is_done_first(
    memory_store: Store, seeds: list[list[int]], size: int
) -> None:
    everyone = [drawn(memory_store, n, *group) for n, group in enumerate(seeds)]
    checks = open_checks(CHECKS, OURS)
    everyone = Compare(checks).attach(everyone, ())
    at_once = judge(stage(memory_store, OURS, checks), *everyone)
    filter = stage(memory_store, OURS, checks)
    last_first = [judge(filter, *cut) for cut in reversed(filter.cut(everyone, size))]
    assert [c for cut in reversed(last_first) for c in cut] == at_once


# What its result depends on


def changed(taxonomy: Taxonomy, name: str) -> Taxonomy:
    """The taxonomy with another relation type of that name."""
    relation = taxonomy.relation_type(name).model_copy(update={"necessity": "Another reason."})
    return taxonomy.model_copy(update={"relation_types": {**taxonomy.relation_types, name: relation}})


def test_the_key_changes_with_the_checks_their_options_the_candidates_and_what_they_are_like(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    one, other = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4)
    newer = open_checks(CHECKS, taxonomy)
    newer[0].version = "next"
    stricter = taxonomy.model_copy(update={"policy": Policy(rules=(*taxonomy.policy.rules, DUCKS))})

    def key(known: Taxonomy = taxonomy, of: Candidate = one, **options: Any) -> str:
        checks = options.pop("checks", None) or open_checks({**CHECKS, **options}, known)
        return stage(memory_store, known, checks).key([of])

    keys = [
        key(),
        key(of=other),
        key(of=one.model_copy(update={"verdicts": (verdict("fail", "image_duplicates"),)})),
        key(lexical_leakage={"threshold": 0.5}),
        key(lexical_leakage=None),
        key(checks=newer),
        key(stricter),
        key(changed(taxonomy, "Causality")),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]
    assert key(lexical_leakage={"threshold": 0.34}) == keys[0], "a default that is written out is no change"
    assert key(changed(taxonomy, "Analogy")) == keys[0], "nor is a relation type of other candidates"


def test_one_changed_candidate_leaves_the_keys_of_other_shards_alone(memory_store: Store, taxonomy: Taxonomy) -> None:
    ones = [drawn(memory_store, n, 2 * n, 2 * n + 1) for n in range(6)]
    edited = [*ones[:5], ones[5].model_copy(update={"prompt": "Another prompt, picture 1 and picture 2."})]
    checks = open_checks(CHECKS, taxonomy)
    filter = stage(memory_store, taxonomy, checks)
    before, after = ([filter.key(cut) for cut in filter.cut(Compare(checks).attach(c, ()), 2)] for c in (ones, edited))
    assert before[:2] == after[:2]
    assert before[2] != after[2]


# Verdicts that are kept


@pytest.fixture
def kept(memory_store: Store) -> VerdictStore:
    return VerdictStore(memory_store.files, "tiny")


def test_a_candidate_is_judged_once_and_a_changed_one_again_alone(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore
) -> None:
    ones = [drawn(memory_store, n, 2 * n, 2 * n + 1) for n in range(6)]
    checks = [cheap, costly, asking] = Looking(), Costly(), Asking()
    first = judge(stage(memory_store, taxonomy, checks, kept), *ones)
    assert judge(stage(memory_store, taxonomy, checks, kept), *ones) == first
    edited = ones[3].model_copy(update={"prompt": "Another prompt."})
    judge(stage(memory_store, taxonomy, checks, kept), *ones[:3], edited, *ones[4:])
    assert [len(c.judged) for c in checks] == [7, 7, 7]
    assert [c.judged[-1] for c in (cheap, costly)] == [edited, edited]
    assert asking.judged[-1].revision == edited.revision


def test_an_image_of_a_candidate_whose_verdicts_are_known_is_not_read(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore
) -> None:
    one = drawn(memory_store, 1, 1, 2)
    checks = open_checks(CHECKS, taxonomy)
    [first] = judge(stage(memory_store, taxonomy, checks, kept), one)
    image = one.pictures[0].image
    assert image
    memory_store.files.delete(memory_store.blob_name(image.id, image.extension))
    assert judge(stage(memory_store, taxonomy, checks, kept), one) == [first]


def test_a_changed_relation_type_is_judged_again_by_what_reads_it(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore
) -> None:
    class Reading(Looking):
        name = "reading"

        def __init__(self, known: Taxonomy) -> None:
            super().__init__()
            self._known = known

        def reads(self, candidate: Candidate) -> Sequence[Entry]:
            return [self._known.relation_type(candidate.relation_type)]

    one, other = drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4)
    other = other.model_copy(update={"relation_type": "Analogy"})
    cheap = Looking()
    judge(stage(memory_store, taxonomy, [Reading(taxonomy), cheap], kept), one, other)
    newer = changed(taxonomy, "Causality")
    reading = Reading(newer)
    judge(stage(memory_store, newer, [reading, cheap], kept), one, other)
    assert reading.judged == [one]
    assert len(cheap.judged) == 2


@pytest.mark.parametrize("change", [{"version": "2"}, {"options": {"threshold": 1}}, {"identity": ["a model"]}])
def test_another_version_option_or_model_of_a_check_judges_again(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore, change: dict[str, Any]
) -> None:
    one, check, other = drawn(memory_store, 1, 1, 2), Looking(), Costly()
    judge(stage(memory_store, taxonomy, [check, other], kept), one)
    vars(check).update(change)
    judge(stage(memory_store, taxonomy, [check, other], kept), one)
    assert (len(check.judged), len(other.judged)) == (2, 1)


def test_a_kept_verdict_of_a_costly_check_does_not_count_where_it_would_not_judge(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore
) -> None:
    one, costly = drawn(memory_store, 1, 1, 2), Costly("fail")
    [first] = judge(stage(memory_store, taxonomy, [Looking(), costly], kept), one)
    assert outcomes(first) == {"looking": "pass", "costly": "fail"}
    stricter = Looking("fail")
    stricter.version = "2"
    [second] = judge(stage(memory_store, taxonomy, [stricter, costly], kept), one)
    assert outcomes(second) == {"looking": "fail"}


def test_verdicts_survive_a_kill_between_two_candidates(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore
) -> None:
    class Killed(BaseException):
        pass

    class Killing(Looking):
        def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
            if len(self.judged) == 7:
                raise Killed
            return super().judge(candidate, evidence)

    ones = [drawn(memory_store, n, 2 * n, 2 * n + 1) for n in range(10)]
    killing, check = Killing(), Looking()
    with pytest.raises(Killed):
        judge(stage(memory_store, taxonomy, [killing], kept), *ones)
    judge(stage(memory_store, taxonomy, [check], kept), *ones)
    assert {c.id for c in check.judged} < {c.id for c in ones}
    assert len(check.judged) <= 6


def test_what_a_model_said_is_kept_when_the_next_one_cannot_be_asked(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore
) -> None:
    class Over(Asking):
        name = "over"

        async def judge(self, candidate: Candidate) -> Finding:
            raise BudgetReached("no more calls")

    one, asking = drawn(memory_store, 1, 1, 2), Asking()
    with pytest.raises(BudgetReached):
        judge(stage(memory_store, taxonomy, [asking, Over()], kept), one)
    judge(stage(memory_store, taxonomy, [asking], kept), one)
    assert len(asking.judged) == 1


def test_a_damaged_file_of_verdicts_is_judged_again(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore
) -> None:
    one, check = drawn(memory_store, 1, 1, 2), Looking()
    first = judge(stage(memory_store, taxonomy, [check], kept), one)
    memory_store.files.write(f"builds/tiny/verdicts/{one.revision[:2]}/{one.revision}.json", b"{}")
    assert judge(stage(memory_store, taxonomy, [check], kept), one) == first
    assert judge(stage(memory_store, taxonomy, [check], kept), one) == first
    assert len(check.judged) == 2


def test_text_of_an_earlier_verdict_of_a_check_does_not_stay(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore
) -> None:
    one = drawn(memory_store, 1, 1, 2)
    check = Looking()
    judge(stage(memory_store, taxonomy, [check, Costly()], kept), one)
    check.version = "2"
    judge(stage(memory_store, taxonomy, [check, Costly()], kept), one)
    assert sorted(v.check + v.version for v in kept.read(one.revision).values()) == ["costly1", "looking2"]


# Checks that cannot judge


@pytest.mark.parametrize("error", [CannotJudge("needs a package"), OSError("no space")])
@pytest.mark.parametrize("kind", [Looking, Costly])
def test_an_abstention_is_not_kept_and_asked_again_once_the_check_may_judge(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore, error: Exception, kind: type[Looking]
) -> None:
    one, check, other = drawn(memory_store, 1, 1, 2), kind(error, lacking="needs a package"), Batching()
    filter = stage(memory_store, taxonomy, [check, other], kept)
    judged = judge(filter, one)
    assert [v.pending for v in judged[0].verdicts] == [True, False]
    assert filter.intact(judged), "the package is still missing"
    check.lacking = None
    assert not filter.intact(judged)
    check.outcome = "pass"
    again = judge(filter, one)
    assert outcomes(again[0])[check.name] == "pass"
    assert filter.intact(again)
    assert len(other.judged) == 1, "what could judge is not asked again"


def test_an_abstention_on_the_candidate_itself_is_asked_again_only_with_the_shard(
    memory_store: Store, taxonomy: Taxonomy, kept: VerdictStore
) -> None:
    one, check = drawn(memory_store, 1, 1, 2), Looking("abstain")
    filter = stage(memory_store, taxonomy, [check], kept)
    judged = judge(filter, one)
    assert filter.intact(judged)
    judge(filter, one)
    assert len(check.judged) == 2, "an abstention is never kept"
    assert kept.read(one.revision) == {}


def test_a_batch_of_a_check_that_cannot_judge_is_not_asked_one_by_one(memory_store: Store, taxonomy: Taxonomy) -> None:
    class Lacking(Batching):
        def judge_all(self, cases: Sequence[Case]) -> list[Finding]:
            raise CannotJudge("needs a package")

    check = Lacking()
    judged = judge(stage(memory_store, taxonomy, [check]), drawn(memory_store, 1, 1, 2), drawn(memory_store, 2, 3, 4))
    assert [v.reason for one in judged for v in one.verdicts] == ["needs a package"] * 2
    assert check.judged == []
