"""Risk categories, relation types and the policy: data in `taxonomy/`, and what is read off it.

    taxonomy/categories/<Name>.yaml    one risk category: definition, what is out of scope, facets that spread the seeds
    taxonomy/relations/<Name>.yaml     one relation type: family, structural rules, necessity, layout, a mild sketch
    taxonomy/policy.yaml               hard exclusions, always applied
    taxonomy/paraphrases.yaml          groups of words that say the same, for the checks of leakage

A user's own folder with the same layout adds to ours, or overrides what has the same name; its policy rules and
paraphrases are added to ours and cannot replace them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mirsb_build.config.yaml_files import load_model, packaged, yaml_files
from mirsb_build.errors import BadFile, UnknownName
from mirsb_build.records import Bond, Exclusion, Record, content_hash

Where = Literal["seed", "prompt", "image"]
Family = Literal["temporal", "spatial", "semantic", "logical"]


class Part(Record):
    """One thing a picture can show, in plain words and in words that find a picture of it."""

    text: str = Field(min_length=1)
    keywords: tuple[str, ...] = Field(min_length=1)


class StandIn(Record):
    """A mild stand-in for a facet: what the offline grammar writes seeds and pictures with.

    `acts` complete "How can I ..."; no part repeats a telling word of an act, because a picture must not tell.
    """

    acts: tuple[str, ...] = Field(min_length=2)
    places: tuple[Part, ...] = Field(min_length=2)
    things: tuple[Part, ...] = Field(min_length=2)
    tools: tuple[Part, ...] = Field(min_length=2)
    outcomes: tuple[Part, ...] = Field(min_length=2)


class Facet(Record):
    """One side of a risk category; seeds are spread over the facets."""

    name: str
    definition: str
    stand_in: StandIn


class RiskCategory(Record):
    """One of the released risk categories, or a user's own."""

    name: str = Field(pattern=r"^[A-Z][A-Za-z0-9_-]*$")
    definition: str
    out_of_scope: tuple[str, ...] = Field(min_length=1)
    facets: tuple[Facet, ...] = Field(min_length=8)

    @property
    def hash(self) -> str:
        return content_hash(self.model_dump(mode="json"))

    def facet(self, name: str) -> Facet | None:
        return next((f for f in self.facets if f.name == name), None)


class Rules(Record):
    """Structural rules of a relation type, as the structure check applies them."""

    refers_to: Literal["each", "any"] = "any"
    """Whether the prompt must point at every picture ("picture 2", "all three") or at least at one."""
    order_word: bool = False
    """The prompt must name an order (first, then, before, last, ...)."""
    common_keyword: bool = False
    """Some keyword must be shared by all the pictures."""
    odd_one_out: bool = False
    """All pictures but one share a keyword that this one lacks."""
    no_common_keyword: bool = False
    """No keyword may be shared by all the pictures."""
    alike: bool = False
    """The pictures may look alike, as pieces of one whole or stages of one scene do; copies they may not be."""


class SketchPicture(Record):
    """One picture of a sketch; `{actor}`, `{place}`, `{thing}`, `{tool}`, `{outcome}` are filled from a stand-in."""

    description: str
    keywords: tuple[str, ...] = Field(min_length=1)


class Sketch(Record):
    """A mild worked shape of the relation type: the grammar of the offline model."""

    prompts: tuple[str, ...] = Field(min_length=1)
    pictures: tuple[SketchPicture, ...] = Field(min_length=2, max_length=4)


class RelationType(Record):
    """How the pictures of a candidate are related."""

    name: str = Field(pattern=r"^[A-Z][A-Za-z0-9_]*$")
    family: Family
    definition: str
    necessity: str
    """What makes every image necessary."""
    min_pictures: int = Field(default=2, ge=2, le=4)
    max_pictures: int = Field(default=4, ge=2, le=4)
    rules: Rules = Rules()
    layout: str
    """How an image backend composes the pictures, for example `sequence` or `inset`."""
    shares: tuple[Bond, ...] = ()
    """What a candidate's pictures have in common where a model draws them: style, scene, initial noise."""
    sketches: tuple[Sketch, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _picture_counts(self) -> Self:
        if self.min_pictures > self.max_pictures:
            raise ValueError("min_pictures is above max_pictures")
        for sketch in self.sketches:
            if not self.min_pictures <= len(sketch.pictures) <= self.max_pictures:
                raise ValueError(f"a sketch has {len(sketch.pictures)} pictures")
        return self

    @property
    def hash(self) -> str:
        return content_hash(self.model_dump(mode="json"))


class PolicyRule(Record):
    """One hard exclusion: hit when every group of terms, and any of the patterns, is found."""

    name: str
    why: str
    all_of: tuple[tuple[str, ...], ...] = ()
    """Groups of words or phrases; one of each group has to be there."""
    patterns: tuple[str, ...] = ()
    """Regular expressions; one of them has to match."""
    where: tuple[Where, ...] = ("seed", "prompt", "image")

    @field_validator("patterns")
    @classmethod
    def _compiles(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return patterns

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        terms = [term for group in self.all_of for term in group] + [*self.patterns]
        if not terms or not all(self.all_of) or not all(term.strip() for term in terms):
            raise ValueError(f"rule {self.name!r} has an empty term, group or pattern, so it would hit everything")
        return self

    @cached_property
    def _expressions(self) -> tuple[re.Pattern[str], ...]:
        """Expressions that must all be found."""
        groups = [
            re.compile(r"\b(?:" + "|".join(re.escape(t) for t in group) + r")\b", re.IGNORECASE)
            for group in self.all_of
        ]
        if self.patterns:
            groups.append(re.compile("|".join(f"(?:{p})" for p in self.patterns)))
        return tuple(groups)

    def hits(self, text: str) -> bool:
        return all(expression.search(text) for expression in self._expressions)


class Policy(Record):
    """Hard exclusions (SPEC: always applied, no profile switches them off)."""

    rules: tuple[PolicyRule, ...] = Field(min_length=1)

    def screen(self, text: str, where: Where) -> Exclusion | None:
        """The first rule that the text hits, without the text; None when it hits none."""
        for rule in self.rules:
            if where in rule.where and rule.hits(text):
                return Exclusion(rule=rule.name, where=where, explanation=rule.why)
        return None

    def screen_unread(self, text: str) -> Exclusion | None:
        """Like `screen`, by all the rules, for a text of which nobody knows what it is."""
        wheres: tuple[Where, ...] = ("seed", "prompt", "image")
        return next((hit for where in wheres if (hit := self.screen(text, where))), None)

    @property
    def hash(self) -> str:
        return content_hash(self.model_dump(mode="json"))


class Paraphrases(Record):
    """Words and short phrases that give a seed query away as well as its own do."""

    groups: tuple[tuple[str, ...], ...] = ()
    """In each group, what says the same; articles and forms of a word need not be listed."""

    @field_validator("groups")
    @classmethod
    def _say_something(cls, groups: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
        for group in groups:
            if len(group) < 2 or not all(re.search("[a-zA-Z]", text) for text in group):
                raise ValueError(f"the group {list(group)} needs two words or phrases at least, none of them empty")
        return groups

    @property
    def hash(self) -> str:
        return content_hash(self.model_dump(mode="json"))


class Taxonomy(Record):
    """All that `taxonomy/` says, ours and the user's."""

    categories: dict[str, RiskCategory]
    relation_types: dict[str, RelationType]
    policy: Policy
    paraphrases: Paraphrases = Paraphrases()

    def category(self, name: str) -> RiskCategory:
        """The risk category of that name; raises UnknownName."""
        if name not in self.categories:
            raise UnknownName("risk category", name, self.categories)
        return self.categories[name]

    def relation_type(self, name: str) -> RelationType:
        """The relation type of that name; raises UnknownName."""
        if name not in self.relation_types:
            raise UnknownName("relation type", name, self.relation_types)
        return self.relation_types[name]

    @property
    def hash(self) -> str:
        return content_hash(
            [c.hash for c in self.categories.values()],
            [r.hash for r in self.relation_types.values()],
            self.policy.hash,
            self.paraphrases.hash,
        )


def load_taxonomy(folders: Sequence[Path] = ()) -> Taxonomy:
    """Our taxonomy with the user's `folders` laid over it; raises BadFile with file and line."""
    categories: dict[str, RiskCategory] = {}
    relation_types: dict[str, RelationType] = {}
    rules: list[PolicyRule] = []
    groups: list[tuple[str, ...]] = []
    for root in [packaged("taxonomy"), *(f / "taxonomy" for f in folders)]:
        for file in yaml_files(root / "categories"):
            category = load_model(file, RiskCategory)
            categories[_named_as_file(file, category.name)] = category
        for file in yaml_files(root / "relations"):
            relation = load_model(file, RelationType)
            relation_types[_named_as_file(file, relation.name)] = relation
        if (root / "policy.yaml").exists():
            rules += load_model(root / "policy.yaml", Policy).rules
        if (root / "paraphrases.yaml").exists():
            groups += load_model(root / "paraphrases.yaml", Paraphrases).groups
    return Taxonomy(
        categories=categories,
        relation_types=relation_types,
        policy=Policy(rules=tuple(rules)),
        paraphrases=Paraphrases(groups=tuple(groups)),
    )


def _named_as_file(file: Path, name: str) -> str:
    if file.stem != name:
        raise BadFile(file, f"is named {name!r} inside; call the file {name}.yaml or change the name", 1)
    return name
