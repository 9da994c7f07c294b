"""Prompts: everything that can be wrong with a template is found when it is loaded, and its hash covers all of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from jinja2.exceptions import SecurityError, TemplateError

from mirsb_build.config.prompts import ROLES, Prompt, Prompts, load_prompts
from mirsb_build.config.reply_schemas import REPLIES, Decomposition
from mirsb_build.config.taxonomy import Taxonomy, load_taxonomy
from mirsb_build.config.yaml_files import packaged
from mirsb_build.errors import BadFile, UnknownName, UsageError
from tests.factories import candidate

OURS = load_prompts()
TAXONOMY = load_taxonomy()

GOOD = """\
    ---
    role: necessity_judge
    reply: NecessityJudgement
    variables: [prompt, shown]
    ---
    # System
    You judge.

    # User
    {{ prompt }} with {{ shown }}
    """


def own(folder: Path, text: str, name: str = "mine.md") -> Path:
    file = folder / "prompts" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text), encoding="utf-8")
    return file


def refused(folder: Path, text: str, name: str = "mine.md") -> str:
    """What loading the prompt is answered with; the file is named in it."""
    file = own(folder, text, name)
    with pytest.raises(UsageError) as caught:
        load_prompts([folder])
    told = str(caught.value)
    assert told.startswith(str(file)), told
    assert len(told.splitlines()) == 1
    return told.removeprefix(str(file))


def variables(taxonomy: Taxonomy = TAXONOMY, **changes: Any) -> dict[str, Any]:
    """A value for every variable of every role."""
    category = taxonomy.category("Privacy")
    values: dict[str, Any] = {
        "category": category,
        "facets": category.facets,
        "facet": category.facets[0],
        "count": 10,
        "policy": taxonomy.policy.rules,
        "avoid": ["How can I read a flatmate's diary?"],
        "seed_query": "How can I peek at my cousin's unsent poems?",
        "relation_type": taxonomy.relation_type("Analogy"),
        "round": 2,
        "feedback": ["lexical_leakage: Say it without words like poem."],
        "previous": candidate(),
        "prompt": candidate().prompt,
        "pictures": candidate().pictures,
        "shown": [1],
        "look": "pictures",
        "intent": "The request seems to be about reading somebody's poems.",
        "response": "The staircase is made of oak.",
    }
    assert set().union(*ROLES.values()) == set(values), "a role has a variable that this test does not know"
    return values | changes


def text_of(prompt: Prompt, **changes: Any) -> str:
    return "\n".join(message.content for message in prompt.render(variables(**changes)))


# What ships


def test_there_is_a_prompt_for_every_relation_type_and_role() -> None:
    assert {f"decompose/{name}" for name in TAXONOMY.relation_types} <= set(OURS.hashes)
    assert {prompt.role for prompt in OURS} == set(ROLES)
    assert all(OURS[f"decompose/{name}"].reply is Decomposition for name in TAXONOMY.relation_types)


@pytest.mark.parametrize("prompt", list(OURS), ids=lambda prompt: prompt.name)
@pytest.mark.parametrize("round", [1, 2])
def test_every_template_renders_to_a_system_and_a_user_message(prompt: Prompt, round: int) -> None:
    first = (
        {"previous": None, "feedback": [], "avoid": [], "facet": None, "shown": [], "look": "descriptions"}
        if round == 1
        else {}
    )
    messages = prompt.render(variables(round=round, **first))
    assert [message.role for message in messages] == ["system", "user"]
    for message in messages:
        assert len(message.content) > 50
        assert "{{" not in message.content and "{%" not in message.content


@pytest.mark.parametrize("relation", TAXONOMY.relation_types.values(), ids=lambda relation: relation.name)
def test_a_decomposition_prompt_carries_the_relation_the_seed_and_the_feedback(relation: Any) -> None:
    told = text_of(OURS[f"decompose/{relation.name}"], relation_type=relation)
    for needed in (relation.definition, relation.necessity, variables()["seed_query"], variables()["feedback"][0]):
        assert needed.strip() in told
    assert all(rule.why in told for rule in TAXONOMY.policy.rules)


def test_a_seed_prompt_names_every_facet_and_what_there_is_already() -> None:
    told = text_of(OURS["seeds"])
    assert all(facet.name in told for facet in variables()["facets"])
    assert variables()["avoid"][0] in told


WORKED = [
    (prompt.name, text) for prompt in OURS for text in re.findall(r"```json\n(.*?)```", text_of(prompt), re.DOTALL)
]


def test_every_template_shows_a_worked_example() -> None:
    assert {name for name, _ in WORKED} == set(OURS.hashes)


@pytest.mark.parametrize(("name", "text"), WORKED, ids=lambda value: value[:30].split("\n")[0])
def test_a_worked_example_is_a_reply_that_would_be_taken(name: str, text: str) -> None:
    reply = OURS[name].reply.model_validate(json.loads(text))
    if isinstance(reply, Decomposition):
        relation = TAXONOMY.relation_type(name.removeprefix("decompose/"))
        assert relation.min_pictures <= len(reply.pictures) <= relation.max_pictures
        assert TAXONOMY.policy.screen(text, "prompt") is None


# The user's own


def test_a_users_prompt_is_one_file(tmp_path: Path) -> None:
    own(tmp_path, GOOD, "decompose/Rhyme.md")
    loaded = load_prompts([tmp_path])
    assert set(loaded.hashes) == {*OURS.hashes, "decompose/Rhyme"}
    messages = loaded["decompose/Rhyme"].render({"prompt": "P", "shown": "S"})
    assert [m.content for m in messages] == ["You judge.", "P with S"]


def test_an_unknown_prompt_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown prompt 'decompose/Analgy'; did you mean 'decompose/Analogy'"):
        OURS["decompose/Analgy"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("{{ prompt }}", "{{ promt }}"), ", line 10: unknown variable 'promt'; did you mean 'prompt'?"),
        (("{{ prompt }}", "{{ xyzzy }}"), ", line 10: unknown variable 'xyzzy'; role necessity_judge has: "),
        (("{{ prompt }}", "prompt"), "variable 'prompt' is declared and never used"),
        (("[prompt, shown]", "[prompt]"), ", line 10: unknown variable 'shown'"),
        (("[prompt, shown]", "[prompt, shown, facets]"), "unknown variable 'facets'; known: "),
        (("[prompt, shown]", "[prompt, shown, promt]"), "unknown variable 'promt'; did you mean 'prompt'?"),
        (("role: necessity_judge", "role: necesity_judge"), "unknown role 'necesity_judge'; did you mean"),
        (("NecessityJudgement", "NecesityJudgement"), "unknown reply 'NecesityJudgement'; did you mean"),
        (("{{ prompt }}", "{% include '_nowhere.md' %} {{ prompt }}"), "includes '_nowhere.md', which is in no prompt"),
        (("{{ prompt }}", "{{ prompt"), ", line 10: is not a template: "),
        (("{{ prompt }}", "{% if prompt %}"), "is not a template: "),
        (("{{ prompt }}", "{{ prompt | shout }}"), ", line 10: is not a template: "),
        (("{{ prompt }}", "{{ prompt }} {{ relation_type.nme }}"), ", line 10: unknown variable 'relation_type'"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_what_a_call_would_trip_over_is_named_when_the_template_is_loaded(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    assert told in refused(tmp_path, GOOD.replace(*change))


def test_an_unknown_field_of_a_variable_is_answered_with_the_nearest(tmp_path: Path) -> None:
    text = GOOD.replace("[prompt, shown]", "[prompt, shown, relation_type]")
    assert own(tmp_path, text.replace("You judge.", "You judge {{ relation_type.name }}."))
    load_prompts([tmp_path])
    told = refused(tmp_path, text.replace("You judge.", "You judge {{ relation_type.nme }}."))
    assert told == ", line 7: unknown field of relation_type 'nme'; did you mean 'name'?"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("---\n    role", "role"), ", line 1: a prompt opens with a YAML header"),
        (("shown]\n    ---", "shown]"), ", line 1: a prompt opens with a YAML header"),
        (("[prompt, shown]", "[prompt, shown"), ", line 5: is not YAML: "),
        (("variables:", "variable:"), ", line 4: unknown key 'variable'; did you mean 'variables'?"),
        (("    reply: NecessityJudgement\n", ""), "'reply' is missing"),
        (("[prompt, shown]", "5"), ", line 4: variables: "),
        (("# User", "# user"), "a prompt needs a section '# User'"),
        (("# User", "## User"), "a prompt needs a section '# User'"),
    ],
    ids=lambda value: value[1].strip() if isinstance(value, tuple) else "",
)
def test_a_broken_header_or_section_is_named_with_its_line(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    assert told in refused(tmp_path, GOOD.replace(*change))


def test_an_unknown_variable_is_blamed_on_where_it_is_used_not_on_a_word_like_it(tmp_path: Path) -> None:
    text = GOOD.replace("You judge.", "You judge the zone.").replace("{{ prompt }}", "{{ zone }} {{ prompt }}")
    assert refused(tmp_path, text).startswith(", line 10: unknown variable 'zone'")


def test_an_unknown_variable_in_an_included_text_is_blamed_on_that_file(tmp_path: Path) -> None:
    included = own(tmp_path, "Mind the\n{{ zone }}.\n", "_more.md")
    own(tmp_path, GOOD.replace("You judge.", "{% include '_more.md' %}"))
    with pytest.raises(BadFile, match="unknown variable 'zone'") as caught:
        load_prompts([tmp_path])
    assert f"{included}, line 2" in str(caught.value)


def test_a_prompt_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = own(tmp_path, GOOD)
    file.write_bytes("---\nrole: ä\n---\n".encode("latin-1"))
    with pytest.raises(BadFile, match=r"mine\.md: cannot be read"):
        load_prompts([tmp_path])


def test_a_template_cannot_reach_into_the_program(tmp_path: Path) -> None:
    own(tmp_path, GOOD.replace("{{ prompt }}", "{{ prompt.__class__.__mro__ }}"))
    with pytest.raises(SecurityError):
        load_prompts([tmp_path])["mine"].render({"prompt": "P", "shown": "S"})


# Hashes


def test_hashes_are_the_same_each_time_they_are_loaded() -> None:
    assert load_prompts().hashes == OURS.hashes
    assert len(set(OURS.hashes.values())) == len(OURS.hashes)


def test_the_hash_changes_with_the_text_the_header_and_an_included_text(tmp_path: Path) -> None:
    def hash_of(text: str, included: str = "And so on.") -> str:
        own(tmp_path, included, "_more.md")
        own(tmp_path, text)
        return load_prompts([tmp_path]).hashes["mine"]

    text = GOOD.replace("You judge.", "You judge. {% include '_more.md' %}")
    hashes = [
        hash_of(text),
        hash_of(text.replace("judge.", "decide.")),
        hash_of(text.replace("necessity_judge", "quality_judge").replace("shown", "pictures")),
        hash_of(text.replace("NecessityJudgement", "QualityJudgement")),
        hash_of(text, included="And so forth."),
    ]
    assert len(set(hashes)) == len(hashes)
    assert hash_of(text) == hashes[0]


def test_the_hash_does_not_change_with_another_template_or_a_text_that_is_not_included(tmp_path: Path) -> None:
    own(tmp_path, GOOD)
    before = load_prompts([tmp_path]).hashes
    own(tmp_path, GOOD.replace("judge.", "decide."), "other.md")
    own(tmp_path, "Nobody includes this.", "_more.md")
    after = load_prompts([tmp_path]).hashes
    assert {name: hash for name, hash in after.items() if name != "other"} == before


def test_a_users_included_text_changes_just_the_templates_of_ours_that_include_it(tmp_path: Path) -> None:
    ours = (packaged("prompts") / "decompose/_feedback.md").read_text(encoding="utf-8")
    own(tmp_path, "", "decompose/_feedback.md").write_text(ours + "\nTake your time.\n", encoding="utf-8")
    changed = load_prompts([tmp_path])
    moved = {name for name, hash in changed.hashes.items() if hash != OURS.hashes[name]}
    assert moved == {name for name in OURS.hashes if name.startswith("decompose/")}
    assert "Take your time." in text_of(changed["decompose/Analogy"])


# Replies


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_with_a_key_of_its_own_is_not_half_understood(name: str) -> None:
    worked = next(text for prompt, text in WORKED if OURS[prompt].reply is REPLIES[name])
    good = json.loads(worked)
    assert REPLIES[name].model_validate(good)
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        REPLIES[name].model_validate({**good, "comment": "Here you are!"})


@pytest.mark.parametrize("name", REPLIES)
def test_the_schema_that_goes_with_a_request_is_plain_json(name: str) -> None:
    schema = REPLIES[name].model_json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["additionalProperties"] is False


def test_loading_finds_the_same_prompts_as_the_folder_holds() -> None:
    files = {p.relative_to(packaged("prompts")).with_suffix("").as_posix() for p in packaged("prompts").rglob("*.md")}
    assert set(OURS.hashes) == {name for name in files if not name.rpartition("/")[2].startswith("_")}
    assert isinstance(OURS, Prompts)


# Templates of others


@pytest.mark.parametrize(
    "attack",
    [
        "{{ category.parse_raw(prompt, proto='pickle', allow_pickle=true) }}",
        "{% set c = category %}{{ c.parse_file(prompt) }}",
        "{{ category['parse_raw'](prompt) }}",
        "{{ (category | attr('model_validate_json'))(prompt) }}",
        "{% for c in [category] %}{{ c.model_copy() }}{% endfor %}",
        "{% for p in pictures %}{{ p.model_construct() }}{% endfor %}",
    ],
)
def test_a_template_gets_values_without_methods_of_ours(tmp_path: Path, attack: str) -> None:
    """The methods of records read files, and unpickle what they read: that runs code."""
    text = GOOD.replace("necessity_judge", "quality_judge").replace("NecessityJudgement", "QualityJudgement")
    text = text.replace("[prompt, shown]", "[prompt, category, pictures]")
    own(tmp_path, text.replace("{{ prompt }} with {{ shown }}", "{{ prompt }} {{ pictures | length }} " + attack))
    with pytest.raises((UsageError, TemplateError)):
        load_prompts([tmp_path])["mine"].render(variables(prompt="mild"))


def test_a_template_changes_no_list_that_it_is_given(tmp_path: Path) -> None:
    own(tmp_path, GOOD.replace("{{ shown }}", "{{ shown.append(9) }}"))
    with pytest.raises(SecurityError):
        load_prompts([tmp_path])["mine"].render({"prompt": "mild", "shown": [1]})


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "diary.md").write_text("my diary")
    own(tmp_path / "own", GOOD)
    (tmp_path / "own/prompts/_diary.md").symlink_to(tmp_path / "diary.md")
    told = refused(tmp_path / "own", GOOD + "    {% include '_diary.md' %}\n")
    assert "includes '_diary.md', which is in no prompt folder" in told
    own(tmp_path / "own", GOOD)
    (tmp_path / "own/prompts/linked.md").symlink_to(tmp_path / "diary.md")
    with pytest.raises(BadFile, match="is a link that leads out of"):
        load_prompts([tmp_path / "own"])


def test_a_folder_that_is_a_link_itself_is_read(tmp_path: Path) -> None:
    own(tmp_path / "real", GOOD)
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    assert "mine" in load_prompts([tmp_path / "linked"])


def test_an_include_whose_name_is_computed_is_refused(tmp_path: Path) -> None:
    assert "includes a file whose name is computed" in refused(tmp_path, GOOD + "    {% include prompt %}\n")
