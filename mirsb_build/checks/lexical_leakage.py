"""Lexical leakage: the seed query's telling words in what the model under test, or a caption of its images, reads."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from mirsb_build.checks.words import WordRules
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import Check, Entry, Evidence, Finding
from mirsb_build.records import Candidate, Record


class LexicalLeakage(Check):
    """Passes a candidate that shows few of its seed query's telling words, in any form or as a listed paraphrase.

    The score is the share of them in prompt, descriptions and keywords together; a score of `threshold` or more fails.
    What says the same in words that are in no list is for `semantic_leakage`.
    """

    name = "lexical_leakage"
    version = "2"

    class Options(Record):
        """When a candidate tells too much."""

        threshold: float = Field(default=0.34, gt=0, le=1)

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._threshold = options.threshold
        self._paraphrases = taxonomy.paraphrases
        self._rules = WordRules(taxonomy.paraphrases)

    def reads(self, candidate: Candidate) -> Sequence[Entry]:
        return [self._paraphrases]

    def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
        signs = self._rules.signs(candidate.seed_query.text)
        keywords = [keyword for picture in candidate.pictures for keyword in picture.keywords]
        phrases = self._rules.phrases([candidate.prompt, *(p.description for p in candidate.pictures), *keywords])
        leaked = sorted((sign.phrase, found) for sign in signs if (found := sign.among(phrases)))
        score = round(len(leaked) / len(signs), 4) if signs else 0.0
        count = f"{len(leaked)} of {len(signs)} telling words of the seed query show"
        named = ", ".join(phrase if found == phrase else f"{phrase} (as {found})" for phrase, found in leaked)
        found_words = ", ".join(sorted({found for _, found in leaked}))
        fails = score >= self._threshold
        return Finding(
            outcome="fail" if fails else "pass",
            score=score,
            threshold=self._threshold,
            reason=f"{count}: {named}" if leaked else count,
            feedback=f"Say it without words like {found_words}; the pictures have to carry that." if fails else "",
        )
