"""Stage 4: every check's verdict on every candidate."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence

from anyio import CapacityLimiter, to_thread
from PIL import Image as PillowImage

from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import MirsbError
from mirsb_build.images import Images
from mirsb_build.ports import BatchCheck, Case, Check, CostlyCheck, Evidence, ModelCheck, Peer, Peers, Pixels
from mirsb_build.records import Candidate, Verdict, content_hash
from mirsb_build.runtime.gather import all_of
from mirsb_build.stages import Stage, in_shards_of
from mirsb_build.stages.estimate import Estimate, RoleCalls

JUDGED_TOKENS, SHOWN_TOKENS = 1200, 700
"""Tokens of a question about a candidate that has been made, and of each image with it (of 1024 x 1024, roughly)."""
VERDICT_TOKENS = 250
"""Tokens that a judge's or reference model's reply is expected to take."""
AT_ONCE = 8
"""Candidates whose images are decoded at a time: some thirty pictures, 100 MB of them at 1024 x 1024."""


class Filter(Stage[Candidate, Candidate]):
    """Let every check judge each candidate that has images; each image is decoded once for all the checks.

    Takes illustrated candidates, returns them with one verdict a check that judged them. A check that breaks on a
    candidate fails that candidate with the error, not the build. Checks that look at pictures with models of their own
    judge only what the cheaper ones let through, because a candidate that is written again gets other pictures. Checks
    that ask models come last, in their order, and judge only what none before them failed; BudgetReached and ModelError
    end the stage once the calls under way are over, and those are kept. `peers` are all candidates that may be
    compared: those that passed in earlier rounds, then those of this round in the build's order, so that the verdicts
    depend on that order alone and not on which shard is done first. `released` are those of earlier releases that the
    build must not repeat.
    """

    name = "filter"
    returns = Candidate
    version = "2"

    def __init__(
        self,
        checks: Sequence[Check | ModelCheck],
        images: Images,
        taxonomy: Taxonomy,
        peers: Sequence[Candidate],
        released: Sequence[Peer] = (),
    ) -> None:
        local = [check for check in checks if not isinstance(check, ModelCheck)]
        self._places = [check.name for check in local]  # verdicts stand in the profile's order
        self._cheap = [check for check in local if not isinstance(check, CostlyCheck)]
        self._checks = [*self._cheap, *(check for check in local if isinstance(check, CostlyCheck))]
        self._model_checks = [check for check in checks if isinstance(check, ModelCheck)]
        self._images = images
        self._taxonomy = taxonomy
        self._peers = Peers(peers, released)
        self._threads: CapacityLimiter | None = None

    def cut(self, records: Sequence[Candidate], size: int) -> list[Sequence[Candidate]]:
        return in_shards_of(size, records)

    def key(self, records: Sequence[Candidate]) -> str:
        return content_hash(
            self.name,
            self.version,
            [(c.name, c.version, c.options) for c in self._checks],
            [(c.name, c.version, c.options, c.identity) for c in self._model_checks],
            self._taxonomy.policy.hash,
            self._taxonomy.paraphrases.hash,
            [self._taxonomy.relation_type(n).hash for n in sorted({r.relation_type for r in records})],
            [r.revision for r in records],
            self._peers.hash,
        )

    async def run(self, records: Sequence[Candidate]) -> list[Candidate]:
        self._threads = self._threads or CapacityLimiter(max(2, os.cpu_count() or 1))  # belongs to an event loop
        alive = [candidate for candidate in records if candidate.alive]
        judged: dict[str, Candidate] = {}
        for start in range(0, len(alive), AT_ONCE):
            judged |= await to_thread.run_sync(self._judged, alive[start : start + AT_ONCE], limiter=self._threads)
        return await all_of([self._asked_about(judged.get(c.id, c)) for c in records])

    def estimate(self, records: Sequence[Candidate]) -> Estimate:
        """Calls of the checks that ask models, as if all these candidates came to them."""
        asked: Counter[str] = Counter()
        tokens: Counter[str] = Counter()
        for candidate in records:
            pictures = len(candidate.pictures)
            for check in self._model_checks:
                for role, calls in check.calls(pictures).items():
                    asked[role] += calls
                    tokens[role] += calls * (JUDGED_TOKENS + pictures * SHOWN_TOKENS)
        calls = [
            RoleCalls(role=role, calls=asked[role], prompt_tokens=tokens[role], reply_tokens=VERDICT_TOKENS)
            for role in asked
        ]
        return Estimate(by_role=tuple(calls))

    def _judged(self, candidates: Sequence[Candidate]) -> dict[str, Candidate]:
        """The candidates by id, with the verdicts of all checks that ask no models."""
        decoded: dict[str, Pixels | str] = {}
        cases = [(candidate, self._evidence(candidate, decoded)) for candidate in candidates]
        said: dict[str, dict[str, Verdict]] = {candidate.id: {} for candidate in candidates}
        for check in self._checks:
            left = cases if check in self._cheap else [case for case in cases if not _failed(said[case[0].id])]
            for (candidate, _), verdict in zip(left, _verdicts(check, left), strict=True):
                said[candidate.id][check.name] = verdict
        in_order = {id: tuple(by[name] for name in self._places if name in by) for id, by in said.items()}
        return {c.id: c.model_copy(update={"verdicts": in_order[c.id]}) for c in candidates}

    async def _asked_about(self, candidate: Candidate) -> Candidate:
        if not candidate.alive or candidate.failures:
            return candidate
        for check in self._model_checks:  # one after the other: what a cheaper one fails is not paid for again
            verdict = await _asked(check, candidate)
            candidate = candidate.model_copy(update={"verdicts": (*candidate.verdicts, verdict)})
            if verdict.outcome == "fail":
                break
        return candidate

    def _evidence(self, candidate: Candidate, decoded: dict[str, Pixels | str]) -> Evidence:
        """What the checks may look at; `decoded` has the images of the candidates before, and gets this one's."""
        found: list[tuple[int, Pixels | str]] = []
        for number, image in ((n, p.image) for n, p in enumerate(candidate.pictures, 1) if p.image):
            if image.id not in decoded:
                decoded[image.id] = _decoded(self._images.read(image))
            found.append((number, decoded[image.id]))
        pixels = [one for _, one in found if not isinstance(one, str)]
        broken = [f"picture {number} does not decode: {one}" for number, one in found if isinstance(one, str)]
        return Evidence(
            relation_type=self._taxonomy.relation_type(candidate.relation_type),
            pixels=tuple(pixels) if not broken else (),
            broken=tuple(broken),
            peers=self._peers,
        )


def _decoded(data: bytes) -> Pixels | str:
    """The pixels of an image, or why it does not decode."""
    try:
        image = PillowImage.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
        return str(error)
    return image


def _failed(verdicts: Mapping[str, Verdict]) -> bool:
    return any(verdict.outcome == "fail" for verdict in verdicts.values())


def _verdicts(check: Check, cases: Sequence[Case]) -> list[Verdict]:
    """A check's verdicts on all cases; one that breaks over all of them at once is asked about each."""
    if isinstance(check, BatchCheck):
        try:
            return check.judge_all(cases)
        except Exception:
            return [_verdict(check, *case) for case in cases]
    return [_verdict(check, *case) for case in cases]


def _verdict(check: Check, candidate: Candidate, evidence: Evidence) -> Verdict:
    try:
        return check.judge(candidate, evidence)
    except Exception as error:  # whatever a check trips over is a verdict on the candidate, never the end of a build
        return _broke(check, f"{type(error).__name__}: {error}")


async def _asked(check: ModelCheck, candidate: Candidate) -> Verdict:
    try:
        return await check.judge(candidate)
    except MirsbError:  # nobody can be asked any more, or nothing kept
        raise
    except Exception as error:  # only its name, because its text may quote what a model answered
        return _broke(check, type(error).__name__)


def _broke(check: Check | ModelCheck, error: str) -> Verdict:
    return Verdict(
        check=check.name,
        version=check.version,
        outcome="fail",
        reason=f"the check broke: {error}",
        feedback="Write prompt and descriptions anew, in plain words: a check could not read them.",
    )
