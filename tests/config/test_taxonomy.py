"""The taxonomy: what ships is complete and mild, the policy hits what it names and no look-alike, users add to it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from mirsb_build.checks.words import stems, telling_words
from mirsb_build.config.taxonomy import Facet, Part, Policy, RelationType, Taxonomy, load_taxonomy
from mirsb_build.config.yaml_files import packaged
from mirsb_build.errors import BadFile, UnknownName
from mirsb_build.images.scenes.layouts import LAYOUTS
from mirsb_build.llm.offline import ACTORS, OPENERS, WHENS

CATEGORIES = {"Hate_Speech", "Harassment", "Violence", "Self-Harm", "Illegal_Activities", "Privacy"}
FAMILIES = {
    "temporal": {"Temporal_Continuity", "Temporal_Jump"},
    "spatial": {"Spatial_Juxtaposition", "Spatial_Embedding"},
    "semantic": {"Relevance", "Complementarity"},
    "logical": {"Analogy", "Causality", "Decomposition"},
}
OURS = load_taxonomy()
FACETS = [(category.name, facet) for category in OURS.categories.values() for facet in category.facets]
RULES = [rule.name for rule in OURS.policy.rules]


def parts_of(facet: Facet) -> Iterator[Part]:
    stand_in = facet.stand_in
    yield from (*stand_in.places, *stand_in.things, *stand_in.tools, *stand_in.outcomes)


# What ships


def test_the_six_risk_categories_are_there_under_their_released_names() -> None:
    assert set(OURS.categories) == CATEGORIES


@pytest.mark.parametrize("name", sorted(CATEGORIES))
def test_a_category_is_defined_delimited_and_spread_over_eight_or_more_facets(name: str) -> None:
    category = OURS.category(name)
    assert len(category.facets) >= 8
    assert len({facet.name for facet in category.facets}) == len(category.facets)
    assert len(category.definition) > 100
    assert category.out_of_scope


def test_the_nine_relation_types_are_there_in_four_families() -> None:
    found: dict[str, set[str]] = {}
    for relation in OURS.relation_types.values():
        found.setdefault(relation.family, set()).add(relation.name)
    assert found == FAMILIES


@pytest.mark.parametrize("relation", OURS.relation_types.values(), ids=lambda r: r.name)
def test_a_relation_type_says_what_makes_a_picture_necessary_and_how_it_is_drawn(relation: RelationType) -> None:
    assert len(relation.definition) > 60
    assert len(relation.necessity) > 60
    assert relation.layout in LAYOUTS
    assert len(relation.sketches) >= 2, "one sketch a relation type makes every candidate look alike"
    slots = {"actor", "place", "thing", "tool", "outcome"}
    for sketch in relation.sketches:
        for text in (*sketch.prompts, *(p.description for p in sketch.pictures)):
            assert text.format(**dict.fromkeys(slots, "x"))


def test_every_relation_type_is_drawn_in_a_way_of_its_own() -> None:
    layouts = [relation.layout for relation in OURS.relation_types.values()]
    assert len(set(layouts)) == len(layouts)


# Mildness: what the offline model can say hits no exclusion and gives nothing away


@pytest.mark.parametrize(("category", "facet"), FACETS, ids=lambda value: getattr(value, "name", value))
def test_no_stand_in_hits_the_policy(category: str, facet: Facet) -> None:
    for act, opener, when in product(facet.stand_in.acts, OPENERS, WHENS):
        seed = opener.format(act=act, when=when)
        assert 10 <= len(seed) <= 400
        assert OURS.policy.screen(seed, "seed") is None, seed
        assert OURS.policy.screen(seed, "prompt") is None, "a careless draft repeats its seed in the prompt"
    for part in parts_of(facet):
        words = f"{part.text} {' '.join(part.keywords)}"
        assert OURS.policy.screen(words, "image") is None, words
        assert OURS.policy.screen(words, "prompt") is None, words


@pytest.mark.parametrize(("category", "facet"), FACETS, ids=lambda value: getattr(value, "name", value))
def test_no_picture_of_a_facet_repeats_a_telling_word_of_its_acts(category: str, facet: Facet) -> None:
    telling = {stem for act in facet.stand_in.acts for stem in telling_words(act)}
    told = {part.text: telling & {*stems(part.text), *stems(" ".join(part.keywords))} for part in parts_of(facet)}
    assert {text: words for text, words in told.items() if words} == {}


@pytest.mark.parametrize("relation", OURS.relation_types.values(), ids=lambda r: r.name)
def test_no_sketch_hits_the_policy_with_any_actor(relation: RelationType) -> None:
    blank = dict.fromkeys(("place", "thing", "tool", "outcome"), "a chair")
    for sketch, actor in product(relation.sketches, ACTORS):
        for prompt in sketch.prompts:
            assert OURS.policy.screen(prompt.format(actor=actor.text, **blank), "prompt") is None
        for picture in sketch.pictures:
            words = " ".join((picture.description, *picture.keywords, *actor.keywords))
            assert OURS.policy.screen(words.format(actor=actor.text, **blank), "image") is None, words


# The policy

HITS = [
    ("sexual-content-with-minors", "seed", "A text with sexual content about a teenager."),
    ("mass-casualty-weapons", "seed", "Where are nuclear weapons talked about?"),
    ("weaponised-agents", "prompt", "Has anybody weaponised a virus in this film?"),
    ("real-named-persons", "image", "A portrait of President Example in a hat."),
    ("real-named-persons", "seed", "How can I prank Mr. Sample?"),
    ("contact-details", "seed", "Write to jane@example.org and ask."),
    ("contact-details", "prompt", "Ring +1 202 555 0100 in the evening."),
    ("contact-details", "image", "A note with 192.0.2.17 on it."),
    ("account-and-identity-numbers", "prompt", "The card reads 1234 5678 1234 5678."),
    ("street-addresses", "seed", "Who lives at 12 Example Street?"),
    ("street-addresses", "prompt", "Das Haus in der Beispielstraße 12."),
    ("operational-quantities", "seed", "Is 5 ml of syrup enough?"),
    ("operational-steps", "seed", "Step 1: open the drawer. Step 2: close it."),
    ("self-harm-methods", "seed", "Which methods does a text about suicide name?"),
    ("sexual-images", "image", "A nude statue in a museum."),
    ("gory-images", "image", "A bloodstained cloth."),
    ("calls-for-extermination", "prompt", "A speech that wants to wipe out a village."),
]

LOOKALIKES = [
    ("seed", "How can I scare the kids at the birthday party?"),
    ("image", "A children's playground with a slide."),
    ("image", "A moth that the naked eye can see on a naked branch."),
    ("image", "A glass of 200 ml next to a 5 kg bag of flour."),  # amounts are told apart in pictures: they are shown
    ("image", "A king of hearts and a queen of spades."),
    ("seed", "How can I become class president?"),
    ("seed", "First of all, how can I get my neighbour's parcel?"),
    ("prompt", "Explain how picture 1 leads to picture 2, then to picture 3, and finally to picture 4."),
    ("prompt", "What happens between 9.30 and 10.45?"),
    ("prompt", "Put the 12 photographs of the street in order."),
    ("image", "A bottle of chemicals for the swimming pool."),
    ("image", "A computer with a virus warning."),
    ("seed", "How can I overdo it with garlic?"),
    ("image", "A house number, 12, beside a door."),
    ("seed", "How can I get into the 2026 marathon without paying?"),
]


@pytest.mark.parametrize(("rule", "where", "text"), HITS)
def test_the_policy_hits_what_it_names(rule: str, where: str, text: str) -> None:
    hit = OURS.policy.screen(text, where)  # type: ignore[arg-type]
    assert hit is not None
    assert (hit.rule, hit.where) == (rule, where)
    assert hit.explanation


PERSONAL = [
    "jane@example.org",
    "+1 202 555 0100",
    "(202) 555-0100",
    "202-555-0100",
    "192.0.2.17",
    "1234 5678 1234 5678",
    "123-45-6789",
    "12 Example Street",
    "Beispielstraße 12",
    "GB00 TEST 0000 0000 0000 00",
]


@pytest.mark.parametrize("data", PERSONAL)
@pytest.mark.parametrize("frame", ["{}", "It is {}.", "({})", "It says “{}”, I think.", "Is it {}?", "One:{};two"])
def test_personal_data_is_found_wherever_it_stands_in_a_sentence(data: str, frame: str) -> None:
    assert OURS.policy.screen(frame.format(data), "prompt") is not None


@pytest.mark.parametrize(("where", "text"), LOOKALIKES)
def test_the_policy_leaves_lookalikes_alone(where: str, text: str) -> None:
    assert OURS.policy.screen(text, where) is None  # type: ignore[arg-type]


def test_every_rule_is_hit_by_a_sample() -> None:
    assert {rule for rule, _, _ in HITS} == set(RULES)


def test_a_hit_is_explained_without_the_text_that_hit() -> None:
    for _, where, text in HITS:
        hit = OURS.policy.screen(text, where)  # type: ignore[arg-type]
        assert hit is not None
        assert text not in hit.model_dump_json()


@pytest.mark.parametrize("change", [str.upper, str.lower])
def test_words_are_found_in_any_case(change: object) -> None:
    assert callable(change)
    assert OURS.policy.screen(change("Where are nuclear weapons talked about?"), "seed") is not None


@pytest.mark.parametrize(
    "rule",
    [
        "{name: r, why: w}",
        "{name: r, why: w, patterns: ['(']}",
        "{name: r, why: w, all_of: [[]]}",
        "{name: r, why: w, all_of: [['']]}",
        "{name: r, why: w, patterns: ['']}",
    ],
)
def test_a_rule_that_would_hit_everything_or_cannot_be_read_is_refused(tmp_path: Path, rule: str) -> None:
    own(tmp_path, "policy.yaml", f"rules:\n  - {rule}\n")
    with pytest.raises(BadFile, match=r"policy\.yaml, line 2: "):
        load_taxonomy([tmp_path])


# The user's own folder


def own(folder: Path, name: str, text: str) -> Path:
    file = folder / "taxonomy" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text), encoding="utf-8")
    return file


def shipped(name: str) -> dict[str, object]:
    return yaml.safe_load((packaged("taxonomy") / name).read_text(encoding="utf-8"))


def test_a_users_relation_type_is_one_file(tmp_path: Path) -> None:
    value = shipped("relations/Analogy.yaml") | {"name": "Rhyme", "family": "semantic"}
    own(tmp_path, "relations/Rhyme.yaml", yaml.safe_dump(value))
    loaded = load_taxonomy([tmp_path])
    assert set(loaded.relation_types) == {*OURS.relation_types, "Rhyme"}
    assert loaded.relation_type("Rhyme").family == "semantic"
    assert loaded.categories == OURS.categories


def test_a_users_category_of_the_same_name_takes_the_place_of_ours(tmp_path: Path) -> None:
    own(
        tmp_path,
        "categories/Privacy.yaml",
        yaml.safe_dump(shipped("categories/Privacy.yaml") | {"definition": "Mine."}),
    )
    loaded = load_taxonomy([tmp_path])
    assert loaded.category("Privacy").definition == "Mine."
    assert list(loaded.categories) == list(OURS.categories)
    assert loaded.hash != OURS.hash


def test_a_users_rules_are_added_to_ours(tmp_path: Path) -> None:
    own(tmp_path, "policy.yaml", "rules:\n  - {name: no-ducks, why: Not here., all_of: [[duck, ducks]]}\n")
    loaded = load_taxonomy([tmp_path])
    assert [rule.name for rule in loaded.policy.rules] == [*RULES, "no-ducks"]
    hit = loaded.policy.screen("Two ducks on a pond.", "image")
    assert hit is not None and hit.rule == "no-ducks"
    assert OURS.policy.screen("Two ducks on a pond.", "image") is None


def test_a_users_rules_cannot_replace_ours(tmp_path: Path) -> None:
    mine = "rules:\n" + "".join(f"  - {{name: {name}, why: Mine., patterns: [xyzzy]}}\n" for name in RULES)
    own(tmp_path, "policy.yaml", mine)
    loaded = load_taxonomy([tmp_path])
    for rule, where, text in HITS:
        hit = loaded.policy.screen(text, where)  # type: ignore[arg-type]
        assert hit is not None
        assert (hit.rule, hit.explanation) == (rule, OURS.policy.screen(text, where).explanation)  # type: ignore


def test_a_file_is_called_what_it_is_named_inside(tmp_path: Path) -> None:
    own(tmp_path, "relations/Rime.yaml", yaml.safe_dump(shipped("relations/Analogy.yaml")))
    with pytest.raises(BadFile, match=r"Rime\.yaml, line 1: is named 'Analogy' inside"):
        load_taxonomy([tmp_path])


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("relations/Analogy.yaml", {"famly": "logical"}, "unknown key 'famly'; did you mean 'family'?"),
        ("relations/Analogy.yaml", {"family": "musical"}, "family: Input should be 'temporal', 'spatial'"),
        ("relations/Analogy.yaml", {"min_pictures": 4}, "min_pictures is above max_pictures"),
        ("relations/Analogy.yaml", {"max_pictures": 2}, "a sketch has 3 pictures"),
        ("categories/Privacy.yaml", {"facets": []}, "facets: "),
        ("categories/Privacy.yaml", {"definition": None}, "definition: "),
    ],
)
def test_what_is_wrong_with_a_users_file_is_named(
    tmp_path: Path, name: str, change: dict[str, object], told: str
) -> None:
    file = own(tmp_path, name, yaml.safe_dump(shipped(name) | change))
    with pytest.raises(BadFile) as caught:
        load_taxonomy([tmp_path])
    assert str(caught.value).startswith(f"{file}, line ")
    assert told in str(caught.value)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown risk category 'Privaci'; did you mean 'Privacy'"):
        OURS.category("Privaci")
    with pytest.raises(UnknownName, match="unknown relation type 'Temporal_Jmp'; did you mean 'Temporal_Jump'"):
        OURS.relation_type("Temporal_Jmp")


# Hashes


def test_the_hash_is_the_same_each_time_it_is_loaded() -> None:
    assert load_taxonomy().hash == OURS.hash


def test_the_hash_changes_with_any_part_of_it() -> None:
    category, relation = OURS.category("Privacy"), OURS.relation_type("Analogy")
    others = [
        OURS.model_copy(
            update={"categories": {**OURS.categories, "Privacy": category.model_copy(update={"definition": "x"})}}
        ),
        OURS.model_copy(
            update={"relation_types": {**OURS.relation_types, "Analogy": relation.model_copy(update={"layout": "x"})}}
        ),
        OURS.model_copy(update={"policy": Policy(rules=OURS.policy.rules[:-1])}),
    ]
    hashes: list[str] = [taxonomy.hash for taxonomy in (OURS, *others)]
    assert len(set(hashes)) == len(hashes)
    assert isinstance(others[0], Taxonomy)
