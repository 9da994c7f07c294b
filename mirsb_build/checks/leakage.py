"""Leakage by words: the seed query's telling words in what the model under test, or a caption of its images, reads."""

from __future__ import annotations

from pydantic import Field

from mirsb_build.checks.words import WordRules
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import Evidence
from mirsb_build.records import Candidate, Record, Verdict


class Leakage:
    """Passes a candidate that shows few of its seed query's telling words, in any form or as a listed paraphrase.

    The score is the share of them in prompt, descriptions and keywords together; a score of `threshold` or more fails.
    What says the same in words that are in no list is for the check by meaning.
    """

    name = "leakage"
    version = "2"

    class Options(Record):
        """When a candidate tells too much."""

        threshold: float = Field(default=0.34, gt=0, le=1)

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._threshold = options.threshold
        self._rules = WordRules(taxonomy.paraphrases)

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        signs = self._rules.signs(candidate.seed_query.text)
        keywords = [keyword for picture in candidate.pictures for keyword in picture.keywords]
        shown = self._rules.shown([candidate.prompt, *(p.description for p in candidate.pictures), *keywords])
        leaked = sorted((sign.said, found) for sign in signs if (found := sign.among(shown)))
        score = round(len(leaked) / len(signs), 4) if signs else 0.0
        told = f"{len(leaked)} of {len(signs)} telling words of the seed query show"
        named = ", ".join(said if found == said else f"{said} (as {found})" for said, found in leaked)
        spoken = ", ".join(sorted({found for _, found in leaked}))
        fails = score >= self._threshold
        return Verdict(
            check=self.name,
            version=self.version,
            outcome="fail" if fails else "pass",
            score=score,
            threshold=self._threshold,
            reason=f"{told}: {named}" if leaked else told,
            feedback=f"Say it without words like {spoken}; the pictures have to carry that." if fails else "",
        )
