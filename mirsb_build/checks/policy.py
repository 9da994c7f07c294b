"""Policy: the hard exclusions once more, over everything that a release would show of the candidate."""

from __future__ import annotations

from collections.abc import Sequence

from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import Check, Entry, Evidence, Finding
from mirsb_build.records import Candidate, Record


class PolicyCheck(Check):
    """Passes a candidate in which no hard exclusion is hit.

    Replies and image sources were screened before anything of them was kept, so a hit here means that something got
    round that; the verdict then says which rule, and not which words.
    """

    name = "policy"
    version = "1"

    class Options(Record):
        """Policy has nothing to set: a profile cannot switch it off."""

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._policy = taxonomy.policy

    def reads(self, candidate: Candidate) -> Sequence[Entry]:
        return [self._policy]

    def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
        screen = self._policy.screen
        hit = screen(candidate.seed_query.text, "seed") or screen(candidate.prompt, "prompt")
        for picture in candidate.pictures:
            titles = " ".join(s.title for s in picture.image.sources) if picture.image else ""
            hit = hit or screen(f"{picture.description} {' '.join(picture.keywords)} {titles}", "image")
        if hit is None:
            reason = f"none of {len(self._policy.rules)} hard exclusions is hit"
            return Finding("pass", reason)
        return Finding(
            outcome="fail",
            reason=f"hard exclusion {hit.rule!r} is hit in the {hit.where}: {hit.explanation}",
            feedback=f"Stay clear of what the exclusion {hit.rule!r} names.",
        )
