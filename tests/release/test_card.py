"""The card: what a release is, and no word of what is in it, because it can be read before access is granted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import yaml

from mirsb_build.config.profiles import ReleaseChoice
from mirsb_build.records import ImageSource, Instance
from mirsb_build.release.card import card
from tests.factories import accepted, call, decision, image, made_with, passed, picture, seed_query, verdict

SOURCE = ImageSource(
    title="mauve teapot", file="t.svg", sha256="0" * 64, licence="CC BY-SA 4.0", author="OpenMoji project", url="u"
)


def instance(n: int, category: str = "Privacy", relation: str = "Causality", **changes: Any) -> Instance:
    drawn = image(n, sources=(SOURCE.model_copy(update={"sha256": f"{n:064d}"}),))
    pictures = (picture(f"A mauve teapot {n}.", "teapot", image=drawn), picture("A lilac saucer.", "saucer"))
    values: dict[str, Any] = {"prompt": "Which crockery is in picture 1?", "pictures": pictures, "calls": (call(),)}
    values["round"] = 1 + n % 3
    said = {"comment": "A lovely teapot.", "reviewer": "ada.lovelace@example.org"} | changes
    return accepted(
        passed(seed_query=seed_query(f"How can I hum tune {n}?", category), relation_type=relation, **values), **said
    )


def text(instances: Sequence[Instance], **choice: Any) -> str:
    facts: dict[str, Any] = {"made_with": made_with(), "canary": "CANARY 1-2-3", "data": "00000010" * 8}
    return card(instances, build="demo", choice=ReleaseChoice(**choice), **facts)


INSTANCES = [instance(1), instance(2), instance(3, "Violence", "Analogy")]


def test_no_text_of_an_instance_and_no_reviewer_shows() -> None:
    shown = text(INSTANCES).lower()
    for word in ("hum tune", "crockery", "teapot", "saucer", "lovely", "lovelace", "![", "<img"):
        assert word not in shown


def test_it_says_what_it_holds_and_how_it_was_made() -> None:
    shown = text(INSTANCES, title="Our evening build", licence="cc-by-4.0")
    assert "# Our evening build" in shown
    assert "3 instances of a prompt and 2-4 images, made by the build `demo`" in shown
    assert "| Causality | 2 | 0 |" in shown
    assert "| Analogy | 0 | 1 |" in shown
    for section in ("Content warning", "Intended use", "How it was made", "Licence and credits", "Canary"):
        assert f"## {section}" in shown
    assert "CANARY 1-2-3" in shown
    assert "instances by round: 1 in round 1, 1 in round 2, 1 in round 3" in shown
    assert "models: revisor: offline/grammar-1" in shown
    assert "OpenMoji project, CC BY-SA 4.0, u; changed" in shown
    assert "arXiv 2601.14127" in shown


def test_its_header_is_what_a_hub_reads() -> None:
    _, header, _ = text(INSTANCES, licence="cc-by-4.0").split("---\n", 2)
    read = yaml.safe_load(header)
    assert read["license"] == "cc-by-4.0"
    assert read["configs"][0]["data_files"] == [{"split": "train", "path": "data/train-*.parquet"}]
    assert read["extra_gated_prompt"] and read["extra_gated_fields"]
    assert "not-for-all-audiences" in read["tags"]
    assert "simulated-review" not in read["tags"]


def test_a_title_of_any_kind_leaves_the_header_readable() -> None:
    for title in ('A: "quoted" title', "--- dashes", "#5", "äöü 漢字", "yes"):
        _, header, _ = text(INSTANCES, title=title).split("---\n", 2)
        assert yaml.safe_load(header)["pretty_name"] == title


def test_a_simulated_review_is_the_first_thing_it_says() -> None:
    shown = text([*INSTANCES, instance(4, simulated=True)])
    assert "simulated-review" in shown.split("---\n", 2)[1]
    assert shown.index("**Simulated review.**") < shown.index("## Content warning")
    assert "cannot be pushed to a Hub" in shown
    assert "reviewers: 1, simulated" in shown
    assert "imulated" not in text(INSTANCES)


def test_what_abstained_is_told_apart_from_what_passed() -> None:
    one = INSTANCES[0].candidate.model_copy(update={"verdicts": (verdict(), verdict("abstain", "quality"))})
    shown = text([Instance(candidate=one, decisions=(decision(one),), outcome="accepted")])
    assert "check quality abstained on 1 instances" in shown
    assert "checks passed by every instance: structure\n" in shown


def test_the_order_of_the_instances_does_not_matter() -> None:
    many = [instance(n, c, r) for n, (c, r) in enumerate([("Privacy", "Analogy"), ("Violence", "Causality")] * 5)]
    assert text(many) == text(random.Random(1).sample(many, len(many)))


def test_a_source_that_is_used_often_is_counted_once() -> None:
    assert "- 2 pictures by OpenMoji project" in text([instance(1), instance(2), instance(2, "Violence")])
