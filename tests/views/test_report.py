"""The report page of a tiny build: two risk categories, two relation types, two rounds, real PNG files."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from mirsb_build.config.profiles import load_profile
from mirsb_build.errors import UnknownName
from mirsb_build.history import History, Pass
from mirsb_build.records import (
    Candidate,
    Decision,
    Exclusion,
    Image,
    ImageSource,
    ImageSpec,
    Instance,
    MadeWith,
    ModelCall,
    Origin,
    Picture,
    Release,
    SeedBatch,
    SeedQuery,
    Usage,
    Verdict,
    content_hash,
)
from mirsb_build.store import Shard, Store
from mirsb_build.views import funnel
from mirsb_build.views.charts import SLIVER, bar, by_family, yield_of
from mirsb_build.views.funnel import Cell
from mirsb_build.views.report import write_report
from tests.factories import finish

BUILD = "tiny"
CATEGORIES = ["Privacy", "Violence"]
RELATIONS = {"Causality": "logical", "Temporal_Jump": "temporal"}
BY = "\N{MULTIPLICATION SIGN}"
HOSTILE = "Look at picture 1 <script>alert('prompt')</script> & \"picture 2\""
SOURCE = ImageSource(
    title="a lamp",
    file="lamp.svg",
    sha256="0" * 64,
    licence="CC BY-SA 4.0",
    author="A. Drawer",
    url="https://lamps.example",
)
UNSAFE_SOURCE = SOURCE.model_copy(update={"title": "a trap", "url": "javascript:alert(1)"})


def call(of: str) -> ModelCall:
    return ModelCall(
        id=content_hash("call", of),
        role="revisor",
        model="grammar",
        prompt="decompose/Causality",
        prompt_hash="1" * 64,
        reply_hash=content_hash("reply", of),
        usage=Usage(prompt_tokens=1000, completion_tokens=234),
    )


def picture(store: Store, of: str, index: int) -> Picture:
    colour = "#" + content_hash(of, index)[:6]
    buffer = io.BytesIO()
    PillowImage.new("RGB", (64, 64), colour).save(buffer, "PNG")
    spec = ImageSpec(description=of, keywords=("lamp",), layout="plain", index=index, count=2, candidate=of)
    image = Image(
        id=store.put_blob(buffer.getvalue(), "png"),
        width=64,
        height=64,
        perceptual_hash="0" * 16,
        backend="plain/1",
        spec=spec,
        sources=(SOURCE, UNSAFE_SOURCE),
    )
    return Picture(description=f"{of}, picture {index}", keywords=("lamp",), image=image)


def attempt(store: Store, before: Candidate, outcome: str, prompt: str = "Compare both pictures.") -> Candidate:
    """The candidate's next round, judged: `pass` or `fail`."""
    round = before.round + 1
    verdict = Verdict(
        check="lexical_leakage",
        version="1",
        outcome="fail" if outcome == "fail" else "pass",
        reason=f"{round} telling words show" if outcome == "fail" else "nothing shows",
        score=0.5,
        threshold=0.34,
        feedback="Say it otherwise." if outcome == "fail" else "",
    )
    return before.model_copy(
        update={
            "round": round,
            "parent": before.revision if before.round else None,
            "feedback": before.failure_feedback,
            "prompt": prompt,
            "pictures": tuple(picture(store, f"{before.id} round {round}", n) for n in (1, 2)),
            "calls": (call(f"{before.id} {round}"),),
            "verdicts": (verdict, Verdict(check="structure", version="1", outcome="abstain", reason="cannot tell")),
        }
    )


def write_note(store: Store) -> None:
    made_with = MadeWith(
        profile="a" * 64,
        taxonomy="b" * 64,
        prompts={"seeds": "c" * 64},
        packages={"pillow": "1.2.3"},
        code_revision="d" * 40,
    )
    note = {
        "build": BUILD,
        "order": {"build": BUILD, "profile": "offline", "store": store.url, "settings": ["review.mode=simulated"]},
        "profile": load_profile("offline", ("limits.max_iterations=2",)).model_dump(mode="json"),
        "risk_categories": CATEGORIES,
        "relation_types": RELATIONS,
        "made_with": made_with.model_dump(mode="json"),
    }
    store.write_json(f"builds/{BUILD}/build.json", note)


def enter(store: Store, stage: str, round: int, shards: int = 1, new: Sequence[Candidate] = ()) -> None:
    """Write down a pass, as the run of a build does."""
    entering = tuple((candidate.seed_query.id, candidate.relation_type) for candidate in new)
    entered = Pass(stage=stage, round=round, shards=("key",) * shards, new=entering)
    name = f"builds/{BUILD}/passes.jsonl"
    store.files.write(name, (store.files.read(name) or b"") + entered.model_dump_json().encode() + b"\n")


def write_seeds(store: Store) -> list[Candidate]:
    """Two seed queries a category and what the policy dropped; returns the candidates."""
    seeds: list[SeedQuery] = []
    for n, category in enumerate(CATEGORIES):
        origin = Origin(kind="model", name="grammar")
        here = tuple(
            SeedQuery(
                risk_category=category, facet="letters", text=f"How do I {word} a {category} letter?", origin=origin
            )
            for word in ("open", "hide")
        )
        dropped = (Exclusion(rule="real-persons", where="seed", explanation="Nobody real is named."),) if n == 0 else ()
        batch = SeedBatch(risk_category=category, seeds=here, calls=(call(f"seeds {category}"),), exclusions=dropped)
        store.write_shard(BUILD, "seeds", 0, n, Shard("key", [batch]))
        seeds += here
    enter(store, "seeds", 0, shards=len(CATEGORIES))
    return [Candidate(seed_query=seed, relation_type=relation) for seed in seeds for relation in RELATIONS]


def write_round(store: Store, round: int, candidates: Sequence[Candidate]) -> None:
    for stage in ("decompose", "synthesize", "filter"):
        store.write_shard(BUILD, stage, round, 0, Shard("key", list(candidates)))
        enter(store, stage, round, new=candidates if (stage, round) == ("decompose", 1) else ())


def write_review(store: Store, passed: Sequence[Candidate], simulated: bool) -> None:
    """All accepted but the first."""
    instances = [
        Instance(
            candidate=candidate,
            outcome="accepted" if n else "rejected",
            decisions=(
                Decision(
                    instance=candidate.id,
                    checksum=candidate.revision,
                    reviewer="ada",
                    decision="accept" if n else "reject",
                    comment="as it should be",
                    simulated=simulated,
                ),
            ),
        )
        for n, candidate in enumerate(passed)
    ]
    store.write_shard(BUILD, "review_import", 0, 0, Shard("key", instances))
    enter(store, "review_import", 0)
    release = Release(version="1", instances=len(passed) - 1, path="x", content="e" * 64, simulated=simulated)
    store.write_shard(BUILD, "publish", 0, 0, Shard("key", [release]))
    enter(store, "publish", 0)


@pytest.fixture
def finished(store: Store) -> Store:
    """Eight candidates: four pass at once, two in round 2, one fails for good, one is dead."""
    write_note(store)
    candidates = write_seeds(store)
    first = [attempt(store, c, "pass" if n < 4 else "fail", HOSTILE) for n, c in enumerate(candidates[:7])]
    dead = candidates[7].model_copy(update={"round": 1, "problem": "the reply is no JSON"})
    write_round(store, 1, [*first, dead])
    second = [attempt(store, c, "fail" if n == 2 else "pass") for n, c in enumerate(first[4:])]
    write_round(store, 2, second)
    write_review(store, [c for c in (*first, *second) if c.passed], simulated=True)
    return store


def page(store: Store, build: str = BUILD) -> str:
    write_report(History(store, build))
    data = store.files.read(f"builds/{build}/report.html")
    assert data is not None
    return data.decode()


class Reader(HTMLParser):
    """Collects the attributes of all elements, and the page's text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def test_the_page_is_one_file_that_asks_for_nothing_else(finished: Store) -> None:
    text = page(finished)
    reader = Reader(text)
    sources = [
        attributes[name]
        for _, attributes in reader.elements
        for name in ("src", "srcset", "data")
        if name in attributes
    ]
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not reader.all("link")
    assert "@import" not in text and "url(" not in text
    outward = {a["href"] for a in reader.all("a") if not a["href"].startswith("#")}
    assert outward == {SOURCE.url}, "only credits link out, and only to web addresses"
    policy = next(m["content"] for m in reader.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


def test_the_figures_are_those_of_the_funnel(finished: Store) -> None:
    counts = funnel(History(finished, BUILD))
    assert (counts.candidates, counts.passed, counts.failed, counts.dead, counts.excluded) == (8, 6, 1, 1, 1)
    words = Reader(page(finished)).words
    for name, value in (
        ("Seed queries", counts.seeds),
        ("Candidates", counts.candidates),
        ("Passed", counts.passed),
        ("Accepted", counts.accepted),
        ("Released", counts.released),
        ("Images", counts.images),
        ("Model calls", counts.calls),
        ("Tokens", counts.tokens),
        ("Excluded by policy", counts.excluded),
    ):
        assert re.search(rf"{name} {value:,}\b", words), name
    assert "6 passed + 1 failed + 1 dead + 0 open" in words
    assert "5 accepted + 1 rejected + 0 to revise + 0 awaiting review" in words
    assert "passed in round 1 4" in words and "passed in round 2 2" in words
    assert f"1 {BY} real-persons Nobody real is named." in words


def test_every_cell_shows_passed_of_candidates(finished: Store) -> None:
    reader = Reader(page(finished))
    titles = [span["title"] for span in reader.all("span") if f" {BY} " in span.get("title", "")]
    for cell in funnel(History(finished, BUILD)).cells:
        relation = cell.relation_type.replace("_", " ")
        wanted = (
            f"{relation} {BY} {cell.risk_category}: {cell.passed} of {cell.candidates} passed, {cell.accepted} accepted"
        )
        assert wanted in titles


def test_what_models_write_is_shown_as_text_and_never_as_html(finished: Store) -> None:
    text = page(finished)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(&#39;prompt&#39;)&lt;/script&gt; &amp; &#34;picture 2&#34;" in text
    assert len(Reader(text).all("script")) == 1
    assert "javascript:" not in text


def test_a_simulated_review_is_marked_at_the_top_and_on_every_card(finished: Store) -> None:
    reader = Reader(page(finished))
    assert "Simulated review: nobody has looked at these instances." in reader.words
    assert reader.words.count("accepted (simulated)") == 5
    assert reader.words.count("rejected (simulated)") == 1


def test_a_review_by_people_is_not_called_simulated(finished: Store) -> None:
    instances = History(finished, BUILD).instances.values()
    write_review(finished, [i.candidate for i in instances], simulated=False)
    assert "imulated" not in Reader(page(finished)).words.replace("review.mode=simulated", "")


def test_the_same_build_gives_the_same_bytes(finished: Store) -> None:
    assert page(finished) == page(finished)


def test_nothing_but_the_report_is_written(finished: Store) -> None:
    root = Path(finished.url)
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    page(finished)
    after = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert {p.name for p in after if p not in before} == {"report.html"}
    assert all(after[p] == data for p, data in before.items())


def test_what_did_not_pass_is_shown_with_the_reasons(finished: Store) -> None:
    words = Reader(page(finished)).words
    not_passed = words[words.index("What did not pass") : words.index("From failed to passed")]
    assert "lexical leakage 2 telling words show" in not_passed
    assert "dead the reply is no JSON" in not_passed
    story = words[words.index("From failed to passed") : words.index("Model calls that the build rests on")]
    assert "Round 1 failed" in story and "Round 2 passed" in story
    assert "Say it otherwise." in story


def test_calls_and_tokens_add_up_to_the_funnel(finished: Store) -> None:
    words = Reader(page(finished)).words
    assert "seeds revisor grammar 2 2,000 468" in words
    assert "1 revisor grammar 7 7,000 1,638" in words
    assert "2 revisor grammar 3 3,000 702" in words
    assert "All 12 12,000 2,808 0.00" in words


def test_the_cells_that_a_check_failed_are_shown_with_their_rounds(finished: Store) -> None:
    text = page(finished)
    words = Reader(text).words
    assert "Where each check failed candidates lexical leakage" in words
    assert 'title="round 1: ' in text


def test_cells_that_stay_short_of_their_target_are_named_with_the_reason(tmp_path: Path) -> None:
    build = finish(tmp_path / "store", "targets.per_cell=3", "limits.candidates=20")
    words = Reader(page(build.store, "tiny")).words
    assert "of 18 cells have the instances they are to have." in words
    assert "the limit of 20 candidates is reached" in words


def test_a_build_with_seeds_only_has_a_page_too(store: Store) -> None:
    write_note(store)
    write_seeds(store)
    words = Reader(page(store)).words
    assert "0 passed + 0 failed + 0 dead + 0 open" in words
    assert "No candidate has passed the checks yet." in words


def test_a_build_without_anything_has_a_page_too(store: Store) -> None:
    write_note(store)
    assert "Candidates 0" in Reader(page(store)).words


def test_an_open_review_is_announced(finished: Store) -> None:
    finished.files.delete(f"builds/{BUILD}/review_import")
    words = Reader(page(finished)).words
    assert "Waiting for review: 6 instances await a decision." in words


def overwrite(store: Store, name: str) -> None:
    store.files.write(name, b"not a picture")


def delete(store: Store, name: str) -> None:
    store.files.delete(name)


@pytest.mark.parametrize("damage", [overwrite, delete])
def test_a_damaged_or_lost_image_leaves_a_placeholder(finished: Store, damage: Callable[[Store, str], None]) -> None:
    whole = Reader(page(finished))
    instance = next(iter(History(finished, BUILD).instances.values()))
    lost = instance.candidate.pictures[0].image
    assert lost
    damage(finished, finished.blob_name(lost.id, lost.extension))
    reader = Reader(page(finished))
    assert len(reader.all("img")) == len(whole.all("img")) - 1
    assert "image damaged or missing" in reader.words


def test_bytes_that_are_no_image_leave_a_placeholder(finished: Store) -> None:
    history = History(finished, BUILD)
    candidate = next(iter(history.instances.values())).candidate
    first = candidate.pictures[0]
    assert first.image
    broken = first.image.model_copy(update={"id": finished.put_blob(b"no image at all", "png")})
    pictures = (first.model_copy(update={"image": broken}), candidate.pictures[1])
    attempts = [attempts[0] for attempts in history.attempts.values()]
    changed = [c.model_copy(update={"pictures": pictures}) if c.id == candidate.id else c for c in attempts]
    write_round(finished, 1, changed)
    assert "image damaged or missing" in Reader(page(finished)).words


def test_a_build_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(UnknownName, match="nowhere"):
        write_report(History(store, "nowhere"))


def test_pictures_have_their_description_as_text(finished: Store) -> None:
    images = Reader(page(finished)).all("img")
    assert images
    assert all(re.match(r"Picture \d: .+", image["alt"]) for image in images)


def test_the_parts_of_a_bar_stand_side_by_side_and_small_ones_are_seen() -> None:
    drawn = bar("Candidates", {"passed": 2675, "failed": 1, "dead": 0}, 2676)
    passed, failed, dead = drawn.parts
    assert drawn.count == 2676
    assert passed.start == 0 and failed.start == pytest.approx(passed.width, abs=0.02)
    assert failed.width == pytest.approx(100 * SLIVER)
    assert dead.width == 0


def test_only_a_full_yield_gets_the_last_step() -> None:
    def cell(passed: int, candidates: int) -> Cell:
        rest = candidates - passed
        return Cell(
            risk_category="Privacy",
            relation_type="Causality",
            candidates=candidates,
            passed=passed,
            failed=rest,
            dead=0,
            open=0,
            accepted=0,
            turned_down=0,
        )

    assert [yield_of("Privacy", [cell(n, 300)]).step for n in (0, 59, 60, 299, 300)] == [0, 0, 1, 4, 5]
    assert yield_of("Privacy", [cell(0, 0)]).step is None


def test_families_come_in_the_order_of_the_method() -> None:
    families = by_family({"Analogy": "logical", "Mine": "temporal", "Temporal_Jump": "temporal"})
    assert families == {"temporal": ["Mine", "Temporal_Jump"], "logical": ["Analogy"]}
