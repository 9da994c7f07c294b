"""The comparison of a pass: the verdicts of the checks that compare candidates with one another."""

from __future__ import annotations

from collections.abc import Sequence

from mirsb_build.errors import CannotJudge
from mirsb_build.ports import AnyCheck, ComparingCheck, Peer
from mirsb_build.records import Candidate, Verdict, content_hash
from mirsb_build.stages.signing import Signatures, pending, pending_after, sign
from mirsb_build.store.verdicts import VerdictStore


class Compare:
    """Attach to each candidate the verdicts that come of comparing it with all the others.

    A step between `synthesize` and `filter`, over the whole pass and in the driver: after it, a candidate's shard
    depends on the candidate alone. Of those that are the same the first is kept: those of earlier releases before those
    that passed in earlier rounds, then those of the pass in its order. A comparison that was made before, of the same
    candidates in the same order, is read from the store.
    """

    version = "1"

    def __init__(
        self, checks: Sequence[AnyCheck], released: Sequence[Peer] = (), store: VerdictStore | None = None
    ) -> None:
        """`released` are candidates of earlier releases that the build must not repeat."""
        self._checks = [check for check in checks if isinstance(check, ComparingCheck)]
        self._released = released
        self._store = store
        self._signatures = Signatures()

    def attach(self, candidates: Sequence[Candidate], beside: Sequence[Candidate]) -> list[Candidate]:
        """Return the candidates, in order, the living ones with a verdict of each comparing check.

        `beside` are those that passed in earlier rounds. Dead and excluded candidates keep nobody out.
        """
        living = [candidate for candidate in candidates if candidate.alive]
        earlier = [*self._released, *(Peer(candidate) for candidate in beside)]
        if not living or not self._checks:
            return list(candidates)
        compared = self._compared_entries(living, earlier)
        verdicts: dict[str, tuple[Verdict, ...]] = {}
        for check in self._checks:
            for one, verdict in zip(living, self._verdicts(check, living, earlier, compared), strict=True):
                verdicts[one.id] = (*verdicts.get(one.id, ()), verdict)
        return [c.model_copy(update={"verdicts": (*c.verdicts, *verdicts.get(c.id, ()))}) for c in candidates]

    def _verdicts(
        self, check: ComparingCheck, candidates: Sequence[Candidate], earlier: Sequence[Peer], compared: object
    ) -> list[Verdict]:
        """The verdicts of one check on the whole pass."""
        everyone = [*(peer.candidate for peer in earlier if not peer.release), *candidates]
        entries = sorted({hash for one in everyone for hash in self._signatures.entries(check, one)})
        key = content_hash("comparison", self.version, self._signatures.check(check), entries, compared)
        known = self._store.read(key) if self._store else {}
        if known.keys() == {candidate.id for candidate in candidates}:
            return [known[candidate.id] for candidate in candidates]
        try:
            verdicts = [sign(check, finding) for finding in check.compare(candidates, earlier)]
        except CannotJudge as error:
            return [pending(check, str(error)) for _ in candidates]
        except Exception as error:  # whatever a check trips over, it is no finding, and never the end of a build
            return [pending_after(check, error) for _ in candidates]
        if self._store and all(verdict.outcome != "abstain" for verdict in verdicts):
            self._store.write(key, {one.id: verdict for one, verdict in zip(candidates, verdicts, strict=True)})
        return verdicts

    def _compared_entries(self, candidates: Sequence[Candidate], earlier: Sequence[Peer]) -> str:
        """Hash of what is compared, in its order."""
        entries = [*earlier, *(Peer(candidate) for candidate in candidates)]
        return content_hash([(e.release, e.candidate.revision, bool(e.candidate.failures)) for e in entries])
