"""Decisions: read from reviewers' files, matched with what is under review, kept for good, and added up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.errors import BadFile, StoreError, UnknownName, UsageError
from mirsb_build.records import Decision, ReviewItem, dump
from mirsb_build.review import DecisionLog, match_decisions, outcome, outcomes, read_decisions, simulate
from mirsb_build.review.items import export_jsonl
from mirsb_build.review.simulated import ONE_IN
from mirsb_build.store import Store
from tests.factories import decision, noise, passed, picture, png, review_item, stored_image

ONE, OTHER = passed("How can I hum?"), passed("How can I whistle?")
REVISIONS = {c.id: c.revision for c in (ONE, OTHER)}

# Files of reviewers


def row(one: Any = ONE, **changes: Any) -> str:
    return json.dumps({**dump(decision(one)), **changes})


def refused(file: Path, *rows: str) -> str:
    """What reading the rows is answered with, the file's name taken off."""
    file.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        read_decisions(file)
    told = str(caught.value)
    assert told.startswith(str(file)) and len(told.splitlines()) == 1
    return told.removeprefix(str(file))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "decisions.jsonl"


def test_decisions_are_read_and_rows_that_nobody_filled_in_are_left_out(file: Path) -> None:
    rows = [row(comment="Fine: “clear”\u2028and mild."), "", row(OTHER, decision=""), row(OTHER, decision="reject")]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert [(d.instance, d.decision) for d in read_decisions(file)] == [(ONE.id, "accept"), (OTHER.id, "reject")]
    assert read_decisions(file)[0].comment == "Fine: “clear”\u2028and mild."


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ('{"instance": "a"', ", line 3: is not JSON: "),
        ("[1, 2]", ", line 3: must hold one JSON object a line"),
        (row(decision="accpt"), ", line 3: decision: Input should be 'accept', 'reject' or 'revise'"),
        (row(reviewer=""), ", line 3: reviewer: "),
        (row(reviewer=None), ", line 3: reviewer: "),
        ('{"instance": "a", "reviewer": "ada", "decision": "accept"}', ", line 3: 'checksum' is missing"),
        (row(comment="\ud800"), ", line 3: comment: "),
    ],
)
def test_a_bad_row_is_named_by_its_line(file: Path, bad: str, told: str) -> None:
    assert refused(file, row(), "", bad, row(OTHER)).startswith(told)


def test_a_file_without_a_decision_says_what_to_fill_in(file: Path) -> None:
    told = ": holds no decision; fill in 'reviewer' and 'decision' (accept, reject or revise)"
    assert refused(file, row(decision="")) == told
    assert refused(file) == told


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"nowhere\.jsonl: cannot be read: No such file"):
        read_decisions(tmp_path / "nowhere.jsonl")


def test_an_export_that_was_filled_in_is_what_the_import_reads(file: Path, memory_store: Store) -> None:
    shown = (picture(image=stored_image(memory_store, 1)), picture("A lamp.", image=stored_image(memory_store, 2)))
    one = passed(pictures=shown)
    export_jsonl([review_item(one)], file, lambda image: memory_store.get_blob(image.id, image.extension))
    [exported] = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [(file.parent / name).read_bytes() for name in exported["images"]] == [png(noise(1)), png(noise(2))]
    assert exported["image_descriptions"] == [p.description for p in shown]
    assert refused(file, json.dumps(exported)).startswith(": holds no decision")
    filled = exported | {"reviewer": "ada", "decision": "revise", "comment": "Which one?"}
    file.write_text(json.dumps(filled), encoding="utf-8")
    assert read_decisions(file) == [decision(one, "revise", comment="Which one?")]


def test_an_export_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(StoreError, match=r"review export: cannot write .*; choose another --to"):
        export_jsonl([], tmp_path / "folder" / "items.jsonl", lambda image: b"")


# Matching


def test_decisions_on_what_is_under_review_match() -> None:
    said = [decision(ONE), decision(OTHER, "reject")]
    match_decisions(said, REVISIONS, "mine.jsonl")
    with pytest.raises(BadFile, match="has changed since it was exported"):
        match_decisions(said, REVISIONS | {OTHER.id: ONE.revision}, "mine.jsonl")


def test_an_unknown_instance_is_answered_with_the_nearest() -> None:
    typo = decision(ONE, instance=ONE.id[:-1] + "x")
    with pytest.raises(UnknownName, match=f"^mine.jsonl: unknown instance '{typo.instance}'; did you mean '{ONE.id}'"):
        match_decisions([decision(OTHER), typo], REVISIONS, "mine.jsonl")


def test_a_decision_on_what_has_changed_since_is_refused_with_the_way_out() -> None:
    stale = decision(ONE, checksum="0" * 64)
    with pytest.raises(BadFile, match=f"^mine.jsonl: instance {ONE.id} has changed since it was exported") as caught:
        match_decisions([decision(OTHER), stale], REVISIONS, "mine.jsonl")
    assert "export the review again" in str(caught.value)
    assert isinstance(caught.value, UsageError)


# The log


def test_the_log_keeps_every_import_in_order(store: Store) -> None:
    log = DecisionLog(store, "demo")
    assert log.read() == []
    imports = [[decision(ONE)], [decision(ONE, "reject", "bo"), decision(OTHER)], [decision(ONE, "revise")]]
    assert [log.append(decisions) for decisions in imports] == [True, True, True]
    assert DecisionLog(store, "demo").read() == [d for decisions in imports for d in decisions]


def test_the_same_file_twice_changes_nothing(store: Store, folder: Path) -> None:
    log = DecisionLog(store, "demo")
    log.append([decision(ONE)])
    before = sorted(p.name for p in folder.rglob("*"))
    assert not log.append([decision(ONE)])
    assert sorted(p.name for p in folder.rglob("*")) == before
    assert log.append([decision(ONE), decision(OTHER)])


@given(
    st.text(st.characters(codec="utf-8"), max_size=20), st.text(st.characters(codec="utf-8"), min_size=1, max_size=9)
)
def test_any_comment_is_kept(comment: str, reviewer: str) -> None:
    import uuid

    log = DecisionLog(Store(f"memory://{uuid.uuid4().hex}"), "demo")
    said = decision(ONE, comment=comment, reviewer=reviewer)
    log.append([said, decision(OTHER)])
    assert log.read() == [said, decision(OTHER)]


def test_a_file_of_the_log_that_was_changed_is_named_with_the_way_out(store: Store, folder: Path) -> None:
    log = DecisionLog(store, "demo")
    log.append([decision(ONE)])
    [file] = (folder / "builds/demo/review").iterdir()
    file.write_text(file.read_text().replace("accept", "reject"))
    with pytest.raises(StoreError, match=f"{file.name}: does not match its checksum; put the file back"):
        log.read()


@pytest.mark.parametrize("reviewer", ["ada", "bo", "cy", "di", "eve", "fay"])
def test_an_import_after_one_was_deleted_is_still_the_last_word(store: Store, reviewer: str) -> None:
    log = DecisionLog(store, "demo")
    for word in ("accept", "reject", "revise"):
        log.append([decision(ONE, word, reviewer)])
    first, *_ = store.files.names("builds/demo/review")
    store.files.delete(f"builds/demo/review/{first}")
    log.append([decision(ONE, "accept", reviewer, comment="after all")])
    assert log.read()[-1].comment == "after all"


# Adding up

said = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["accept", "reject", "revise"])), max_size=8)


def decisions_of(words: list[tuple[str, str]]) -> list[Decision]:
    return [decision(ONE, word, reviewer) for reviewer, word in words]


@pytest.mark.parametrize(
    ("words", "needed", "expected"),
    [
        ("a+", 1, "accepted"),
        ("a-", 1, "rejected"),
        ("a?", 1, "revise"),
        ("", 1, "awaiting"),
        ("a+", 2, "awaiting"),
        ("a+ a+", 2, "awaiting"),  # one person twice is one person
        ("a+ b+", 2, "accepted"),
        ("a+ b-", 2, "awaiting"),  # a tie awaits a third
        ("a+ b- c-", 2, "rejected"),
        ("a+ b- c?", 3, "awaiting"),
        ("a+ b+ c-", 3, "accepted"),
        ("a+ a-", 1, "rejected"),  # the latest word counts
        ("a- b+ a+", 2, "accepted"),
    ],
)
def test_decisions_add_up(words: str, needed: int, expected: str) -> None:
    signs = {"+": "accept", "-": "reject", "?": "revise"}
    assert outcome(decisions_of([(w[0], signs[w[1]]) for w in words.split()]), needed) == expected


@given(said, st.integers(1, 5))
def test_an_outcome_is_the_word_of_more_than_half_of_the_reviewers(words: list[tuple[str, str]], needed: int) -> None:
    votes = Counter(dict(words).values())
    top = votes.most_common()
    if len(dict(words)) < needed or not top or 2 * top[0][1] <= len(dict(words)):
        assert outcome(decisions_of(words), needed) == "awaiting"
    else:
        past = {"accept": "accepted", "reject": "rejected", "revise": "revise"}
        assert outcome(decisions_of(words), needed) == past[top[0][0]]


@given(said, st.integers(1, 5), st.randoms())
def test_the_order_in_which_reviewers_speak_does_not_matter(
    words: list[tuple[str, str]], needed: int, random: Any
) -> None:
    one_each = list(dict(words).items())
    shuffled = list(one_each)
    random.shuffle(shuffled)
    assert outcome(decisions_of(one_each), needed) == outcome(decisions_of(shuffled), needed)


# Places and the reserve


def in_a_cell(count: int) -> list[ReviewItem]:
    """Items of one cell with their ranks, the first the best."""
    ones = [passed(f"How can I hum tune {n}?", relation_type="Analogy") for n in range(count)]
    return [review_item(one).model_copy(update={"rank": n}) for n, one in enumerate(ones, 1)]


def decided(item: ReviewItem, word: str, reviewer: str = "ada") -> Decision:
    values = {"instance": item.instance, "checksum": item.checksum, "reviewer": reviewer, "decision": word}
    return Decision.model_validate(values)


CELL = ("Privacy", "Analogy")


def test_a_cell_hands_out_as_many_as_it_is_to_have_by_rank_and_keeps_the_others_in_reserve() -> None:
    items = in_a_cell(5)
    assert list(outcomes(items, [], 1, {CELL: 2}).values()) == ["awaiting"] * 2 + ["reserve"] * 3
    assert list(outcomes(items, [], 1, {}).values()) == ["awaiting"] * 5
    assert list(outcomes(items, [], 1, {("Violence", "Analogy"): 1}).values()) == ["awaiting"] * 5


@pytest.mark.parametrize("word", ["reject", "revise"])
def test_the_reserve_comes_in_where_one_is_not_accepted(word: str) -> None:
    items = in_a_cell(4)
    found = outcomes(items, [decided(items[0], word)], 1, {CELL: 2})
    assert list(found.values())[1:] == ["awaiting", "awaiting", "reserve"]


def test_what_was_accepted_or_looked_at_is_not_sent_back_to_the_reserve_by_a_better_rank() -> None:
    items = in_a_cell(4)
    assert outcomes(items, [decided(items[3], "accept")], 1, {CELL: 1})[items[3].instance] == "accepted"
    half = outcomes(items, [decided(items[2], "accept")], 2, {CELL: 1})
    assert list(half.values()) == ["reserve", "reserve", "awaiting", "reserve"]


@given(st.lists(st.sampled_from(["accept", "reject", "revise", ""]), max_size=9), st.integers(0, 5))
def test_a_cell_never_has_more_than_it_is_to_have_and_no_fewer_while_there_is_a_reserve(
    words: list[str], target: int
) -> None:
    items = in_a_cell(len(words))
    found = outcomes(items, [decided(i, w) for i, w in zip(items, words, strict=True) if w], 1, {CELL: target})
    taken = sum(outcome in ("accepted", "awaiting") for outcome in found.values())
    assert taken <= target
    assert taken == target or "reserve" not in found.values()


# The simulated review

CELLS = [(c, r) for c in ("Privacy", "Violence") for r in ("Analogy", "Relevance", "Causality")]
cells = st.lists(st.sampled_from(CELLS), max_size=40)


def items_of(of_cells: list[tuple[str, str]]) -> list[Any]:
    return [
        review_item(passed(f"How can I hum tune {n}?", relation_type=r)).model_copy(update={"risk_category": c})
        for n, (c, r) in enumerate(of_cells)
    ]


@given(cells, st.integers(1, 3), st.randoms())
def test_a_simulated_review_leaves_one_in_every_cell_whatever_the_order(
    of_cells: list[tuple[str, str]], reviewers: int, random: Any
) -> None:
    items = items_of(of_cells)
    decisions = simulate(items, reviewers)
    shuffled = list(items)
    random.shuffle(shuffled)
    assert simulate(shuffled, reviewers) == decisions
    assert Counter(d.instance for d in decisions) == {item.instance: reviewers for item in items}
    kept = {d.instance for d in decisions if d.decision == "accept"}
    assert {(i.risk_category, i.relation_type) for i in items if i.instance in kept} == set(of_cells)


@given(cells)
def test_every_simulated_decision_says_that_it_is_one(of_cells: list[tuple[str, str]]) -> None:
    for said in simulate(items_of(of_cells), 2):
        assert said.simulated
        assert said.reviewer.startswith("simulated-reviewer-")
        assert "nobody has looked" in said.comment


def test_a_simulated_review_rejects_about_as_many_as_it_says() -> None:
    items = items_of([CELLS[0]] * 600)
    rejected = sum(d.decision == "reject" for d in simulate(items, 1))
    assert 0.5 < rejected / (600 / ONE_IN) < 1.7
