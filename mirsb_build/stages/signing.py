"""From findings to verdicts: each signed with its check, and known by the hash of all that it depends on."""

from __future__ import annotations

from mirsb_build.ports import AnyCheck, Entry, Finding
from mirsb_build.records import Candidate, Verdict, content_hash


def sign(check: AnyCheck, finding: Finding) -> Verdict:
    """Make a check's finding a verdict."""
    return Verdict(
        check=check.name,
        version=check.version,
        outcome=finding.outcome,
        reason=finding.reason,
        score=finding.score,
        threshold=finding.threshold,
        feedback=finding.feedback,
        labels=finding.labels,
        calls=finding.calls,
    )


def pending(check: AnyCheck, reason: str) -> Verdict:
    """Abstain for a check that cannot judge now; it is asked again by the next run."""
    return Verdict(check=check.name, version=check.version, outcome="abstain", reason=reason, pending=True)


def pending_after(check: AnyCheck, error: Exception) -> Verdict:
    """Abstain for a check that broke on a candidate."""
    return pending(check, f"the check broke: {type(error).__name__}: {error}")


class Signatures:
    """What the verdicts of checks depend on beside the candidate; entries of the taxonomy are hashed once."""

    def __init__(self) -> None:
        self._hashes: dict[int, tuple[Entry, str]] = {}

    def check(self, check: AnyCheck) -> list[object]:
        """The check itself, and the models and prompts that it asks."""
        return [check.name, check.version, check.options, list(check.identity)]

    def entries(self, check: AnyCheck, candidate: Candidate) -> list[str]:
        """Hashes of the parts of the taxonomy that the check reads for a candidate."""
        return [self._hash(entry) for entry in check.reads(candidate)]

    def verdict(self, check: AnyCheck, candidate: Candidate, revision: str) -> str:
        """The key of the check's verdict on a candidate."""
        return content_hash("verdict", revision, self.check(check), self.entries(check, candidate))

    def _hash(self, entry: Entry) -> str:
        if id(entry) not in self._hashes:
            self._hashes[id(entry)] = entry, entry.hash  # with the entry itself, so that its id is not given away
        return self._hashes[id(entry)][1]
