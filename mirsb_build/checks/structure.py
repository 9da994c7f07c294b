"""Structure: the number of pictures, what the prompt refers to, and the relation type's own rules."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mirsb_build.config.taxonomy import RelationType, Taxonomy
from mirsb_build.ports import Check, Entry, Evidence, Finding
from mirsb_build.records import Candidate, Record

NUMBERS = {"one": 1, "two": 2, "both": 2, "three": 3, "four": 4, "five": 5, "six": 6}
ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6}
ORDER_WORDS = re.compile(
    r"\b(first|then|next|before|after|afterwards|finally|last|later|between|beginning|start|end|ending|order|"
    r"sequence|in turn|step by step)\b",
    re.IGNORECASE,
)

_NOUN = r"(?:picture|image|photo|photograph|panel|frame|card|scene|piece|part)"
_COUNT = rf"(?:{'|'.join(NUMBERS)}|\d+)"
_BY_NUMBER = re.compile(rf"\b{_NOUN}s?\s+(\d+(?:(?:\s*,\s*|\s*(?:and|to|or|-)\s*)\d+)*)", re.IGNORECASE)
_BY_ORDINAL = re.compile(rf"\b({'|'.join(ORDINALS)}|last)\s+(?:\w+\s+)?{_NOUN}\b", re.IGNORECASE)
_ALL = r"(?:these|the|all|your|those)"
_TOGETHER = re.compile(
    rf"\b(?:(?P<count>{_COUNT})\s+(?:\w+\s+)?{_NOUN}s?|{_ALL}\s+(?!{_COUNT}\b)(?:\w+\s+)?{_NOUN}s)\b", re.IGNORECASE
)


def references(prompt: str, pictures: int) -> tuple[set[int], list[str]]:
    """Which of `pictures` pictures a prompt points at (from 1), and its references that fit no picture."""
    found: set[int] = set()
    wrong: list[str] = []

    def point(number: int, words: str) -> None:
        if 1 <= number <= pictures:
            found.add(number)
        else:
            wrong.append(words)

    for match in _BY_NUMBER.finditer(prompt):
        numbers = [int(n) for n in re.findall(r"\d+", match[1])]
        for number in numbers:
            point(number, match[0])
        if re.search(r"\d\s*(?:to|-)\s*\d", match[1]):
            found |= set(range(min(numbers), max(numbers) + 1)) & set(range(1, pictures + 1))
    for match in _BY_ORDINAL.finditer(prompt):
        point(pictures if match[1].lower() == "last" else ORDINALS[match[1].lower()], match[0])
    for match in _TOGETHER.finditer(prompt):
        count = match["count"]
        if count is None or (number := NUMBERS.get(count.lower()) or int(count)) == pictures:
            found |= set(range(1, pictures + 1))
        elif number > pictures:
            wrong.append(match[0])
    return found, wrong


class Structure(Check):
    """Passes a candidate whose prompt and pictures have the form that its relation type asks for.

    The score is the share of rules that hold; all of them have to.
    """

    name = "structure"
    version = "1"

    class Options(Record):
        """Structure has nothing to set: the rules are the relation type's."""

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._taxonomy = taxonomy

    def reads(self, candidate: Candidate) -> Sequence[Entry]:
        return [self._taxonomy.relation_type(candidate.relation_type)]

    def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
        faults = [
            *_count_faults(candidate, evidence.relation_type),
            *_reference_faults(candidate, evidence.relation_type),
            *_keyword_faults(candidate, evidence.relation_type),
        ]
        rules = 8  # picture count, references twice, order, descriptions, three keyword rules
        score = round(1 - min(len(faults), rules) / rules, 4)
        if not faults:
            reason = f"{len(candidate.pictures)} pictures in the form of {candidate.relation_type}"
            return Finding("pass", reason, score=1.0, threshold=1.0)
        return Finding(
            outcome="fail",
            score=score,
            threshold=1.0,
            reason="; ".join(what for what, _ in faults),
            feedback=" ".join(todo for _, todo in faults),
        )


Fault = tuple[str, str]
"""What is wrong, and what to do about it."""


def _count_faults(candidate: Candidate, relation_type: RelationType) -> list[Fault]:
    low, high, count = relation_type.min_pictures, relation_type.max_pictures, len(candidate.pictures)
    if low <= count <= high:
        return []
    span = f"{low}" if low == high else f"{low} to {high}"
    return [(f"{count} pictures where {relation_type.name} has {span}", f"Use {span} pictures.")]


def _reference_faults(candidate: Candidate, relation_type: RelationType) -> list[Fault]:
    count = len(candidate.pictures)
    found, wrong = references(candidate.prompt, count)
    faults = [
        (
            f"the prompt points at {words!r}, but there are {count} pictures",
            f"Do not point at {words!r}; there are {count} pictures.",
        )
        for words in dict.fromkeys(wrong)
    ]
    missing = sorted(set(range(1, count + 1)) - found)
    if not found:
        faults.append(("the prompt points at no picture", "Let the prompt point at the pictures."))
    elif relation_type.rules.refers_to == "each" and missing:
        names = ", ".join(str(n) for n in missing)
        faults.append(
            (f"the prompt does not point at picture {names}", f"Let the prompt point at picture {names} too.")
        )
    if relation_type.rules.order_word and not ORDER_WORDS.search(candidate.prompt):
        faults.append(("the prompt names no order", "Say in the prompt in which order the pictures stand."))
    return faults


def _keyword_faults(candidate: Candidate, relation_type: RelationType) -> list[Fault]:
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for number, picture in enumerate(candidate.pictures, 1):
        text = " ".join(picture.description.lower().split())
        if text in seen:
            pair = f"pictures {seen[text]} and {number}"
            faults.append((f"{pair} describe the same", f"Give {pair} different contents."))
        seen.setdefault(text, number)
    keywords = [{k.lower() for k in p.keywords} for p in candidate.pictures]
    if len(keywords) < 2:
        return faults
    common = keywords[0].intersection(*keywords[1:])
    rules = relation_type.rules
    if rules.common_keyword and not common:
        faults.append(("no keyword is shared by all pictures", "Let all pictures share a keyword."))
    if rules.no_common_keyword and common:
        shared = ", ".join(sorted(common))
        faults.append((f"all pictures share the keyword {shared}", f"Let no keyword stand in all pictures ({shared})."))
    if rules.odd_one_out and not _has_odd_one(keywords):
        feedback = "Let all pictures but one share a keyword that the telling one lacks."
        faults.append(("no picture stands out from the rest", feedback))
    return faults


def _has_odd_one(keywords: list[set[str]]) -> bool:
    """Whether all the pictures but one share a keyword that this one lacks."""
    for odd in range(len(keywords)):
        rest = [k for place, k in enumerate(keywords) if place != odd]
        if rest[0].intersection(*rest[1:]) - keywords[odd]:
            return True
    return False
