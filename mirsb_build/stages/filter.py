"""Stage 4: every check's verdict on every candidate."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from anyio import CapacityLimiter, to_thread
from PIL import Image as PillowImage

from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import CannotJudge, MirsbError, StoreError
from mirsb_build.images import Images
from mirsb_build.ports import (
    AnyCheck,
    BatchCheck,
    Case,
    Check,
    ComparingCheck,
    DecodedImages,
    Evidence,
    ModelCheck,
    Pixels,
)
from mirsb_build.records import Candidate, Image, Verdict, content_hash
from mirsb_build.runtime.gather import all_of
from mirsb_build.stages import Runs, Stage, in_shards_of
from mirsb_build.stages.estimate import Estimate, RoleCalls
from mirsb_build.stages.signing import Signatures, pending, pending_after, sign
from mirsb_build.store.verdicts import VerdictStore

JUDGED_TOKENS, SHOWN_TOKENS = 1200, 700
"""Tokens of a question about a candidate that has been made, and of each image with it (of 1024 x 1024, roughly)."""
VERDICT_TOKENS = 250
"""Tokens that a judge's or reference model's reply is expected to take."""
AT_ONCE = 4
"""Candidates whose images are decoded at a time in a thread: a dozen pictures, 40 MB of them at 1024 x 1024."""


class Filter(Stage[Candidate, Candidate]):
    """Let every check judge each candidate that has images, and keep every verdict, so that it is given once.

    Takes illustrated candidates with the verdicts of `Compare`, returns them with one verdict a check that judged them,
    in the profile's order, those of models last. `run` has the checks that ask no model; it decodes an image once for
    all of them, and not at all where every verdict is known. Costly checks judge only what the cheaper ones let
    through, because a candidate that is written again gets other pictures. `settle` has those that ask models, one
    after the other, on what nothing before them failed; BudgetReached and ModelError end it once the calls under way
    are over, and those are kept. A check that cannot judge, or breaks on a candidate, abstains there; that is no
    finding: it is not kept, and the next run asks the check again (`intact`).
    """

    name = "filter"
    returns = Candidate
    version = "3"

    def __init__(
        self, checks: Sequence[AnyCheck], images: Images, taxonomy: Taxonomy, store: VerdictStore | None = None
    ) -> None:
        """`store` keeps verdicts; without one they are given anew each time."""
        local = [cast(Check, check) for check in checks if not isinstance(check, (ComparingCheck, ModelCheck))]
        self._local = sorted(local, key=lambda check: check.costly)
        self._model_checks = [check for check in checks if isinstance(check, ModelCheck)]
        in_order = [check.name for check in checks if not isinstance(check, ModelCheck)]
        self._places = {n: place for place, n in enumerate([*in_order, *(c.name for c in self._model_checks)])}
        self._judges: list[AnyCheck] = [c for c in checks if not isinstance(c, ComparingCheck)]
        self._images = images
        self._taxonomy = taxonomy
        self._store = store
        self._signatures = Signatures()
        self._threads: CapacityLimiter | None = None

    @property
    def runs(self) -> Runs:
        return "anywhere"

    def cut(self, records: Sequence[Candidate], size: int) -> list[Sequence[Candidate]]:
        return in_shards_of(size, records)

    def key(self, records: Sequence[Candidate]) -> str:
        return content_hash(
            self.name,
            self.version,
            list(self._places),
            [self._signatures.check(check) for check in self._judges],
            [(r.revision, [v.model_dump(mode="json") for v in r.verdicts], self._entries(r)) for r in records],
        )

    def _entries(self, candidate: Candidate) -> list[str]:
        """Hashes of all that any check reads of the taxonomy for a candidate that it judges."""
        judges = self._judges if candidate.alive else ()
        return sorted({hash for check in judges for hash in self._signatures.entries(check, candidate)})

    async def run(self, records: Sequence[Candidate]) -> list[Candidate]:
        self._threads = self._threads or CapacityLimiter(max(2, os.cpu_count() or 1))  # belongs to an event loop
        alive = [candidate for candidate in records if candidate.alive]
        judged: dict[str, Candidate] = {}
        for start in range(0, len(alive), AT_ONCE):
            judged |= await to_thread.run_sync(self._judge, alive[start : start + AT_ONCE], limiter=self._threads)
        return [judged.get(candidate.id, candidate) for candidate in records]

    async def settle(self, results: list[Candidate]) -> list[Candidate]:
        return await all_of([self._ask_models(candidate) for candidate in results])

    def intact(self, results: Sequence[Candidate]) -> bool:
        """Whether no check that abstained for want of something could judge by now."""
        waiting = {verdict.check for one in results for verdict in one.verdicts if verdict.pending}
        return not any(check.name in waiting and check.lacks() is None for check in self._judges)

    def estimate(self, records: Sequence[Candidate]) -> Estimate:
        """Calls of the checks that ask models, as if all these candidates came to them."""
        asked: defaultdict[str, float] = defaultdict(float)
        tokens: defaultdict[str, float] = defaultdict(float)
        for pictures in (len(candidate.pictures) for candidate in records):
            for role, calls in (pair for check in self._model_checks for pair in check.calls(pictures).items()):
                asked[role] += calls
                tokens[role] += calls * (JUDGED_TOKENS + pictures * SHOWN_TOKENS)
        calls = [
            RoleCalls(role=role, calls=asked[role], prompt_tokens=tokens[role], reply_tokens=VERDICT_TOKENS)
            for role in asked
        ]
        return Estimate(by_role=tuple(calls))

    def _judge(self, candidates: Sequence[Candidate]) -> dict[str, Candidate]:
        """Let the checks that ask no model judge these; by id."""
        files = [self._open(candidate) for candidate in candidates]
        decoded: dict[str, Pixels | str] = {}
        for check in self._local:
            open_files = [one for one in files if not (check.costly and one.failed)]
            unknown = [one for one in open_files if not one.recall(check)]
            cases = [(one.candidate, self._evidence(one.candidate, decoded)) for one in unknown]
            for one, verdict in zip(unknown, _verdicts(check, cases), strict=True):
                one.add(check, verdict)
        for one in files:
            one.save()
        return {one.candidate.id: self._with_verdicts(one) for one in files}

    async def _ask_models(self, candidate: Candidate) -> Candidate:
        if not candidate.alive or candidate.failures or not self._model_checks:
            return candidate
        file = await to_thread.run_sync(self._open, candidate)
        try:
            for check in self._model_checks:  # one after the other: what a cheaper one fails is not paid for again
                if not file.recall(check):
                    file.add(check, await _ask(check, candidate))
                if file.failed:
                    break
        finally:
            file.save()
        return self._with_verdicts(file)

    def _open(self, candidate: Candidate) -> _VerdictFile:
        return _VerdictFile(candidate, self._signatures, self._store)

    def _with_verdicts(self, file: _VerdictFile) -> Candidate:
        last = len(self._places)
        in_order = sorted(file.verdicts.values(), key=lambda verdict: self._places.get(verdict.check, last))
        return file.candidate.model_copy(update={"verdicts": tuple(in_order)})

    def _evidence(self, candidate: Candidate, decoded: dict[str, Pixels | str]) -> Evidence:
        """What the checks may look at; `decoded` has the images that were looked at before, and gets this one's."""

        def decode() -> DecodedImages:
            images = [(number, picture.image) for number, picture in enumerate(candidate.pictures, 1) if picture.image]
            for _, image in images:
                if image.id not in decoded:
                    decoded[image.id] = self._decode(image)
            found = [(number, decoded[image.id]) for number, image in images]
            broken = [f"picture {number} does not decode: {one}" for number, one in found if isinstance(one, str)]
            pixels = [one for _, one in found if not isinstance(one, str)]
            return DecodedImages(() if broken else tuple(pixels), tuple(broken))

        return Evidence(self._taxonomy.relation_type(candidate.relation_type), decode)

    def _decode(self, image: Image) -> Pixels | str:
        """The pixels of an image, or why it does not decode."""
        try:
            pixels = PillowImage.open(io.BytesIO(self._images.read(image)))
            pixels.load()
        except (OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError) as error:
            return str(error)
        return pixels


@dataclass
class _VerdictFile:
    """The verdicts on one candidate: those it comes with, those that the store has, and those that are added."""

    candidate: Candidate
    signatures: Signatures
    store: VerdictStore | None
    verdicts: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    """By check."""

    def __post_init__(self) -> None:
        self.verdicts = {verdict.check: verdict for verdict in self.candidate.verdicts}
        self._revision = self.candidate.revision
        self._stored = self.store.read(self._revision) if self.store else {}
        self._changed = False

    @property
    def failed(self) -> bool:
        return any(verdict.outcome == "fail" for verdict in self.verdicts.values())

    def recall(self, check: AnyCheck) -> bool:
        """Take the check's verdict from the store; return whether it is there."""
        verdict = self._stored.get(self._key(check))
        if verdict is not None:
            self.verdicts[check.name] = verdict
        return verdict is not None

    def add(self, check: AnyCheck, verdict: Verdict) -> None:
        """Add a new verdict; an abstention is not kept, because the reason for it may go."""
        self.verdicts[check.name] = verdict
        if verdict.outcome != "abstain":
            others = {key: one for key, one in self._stored.items() if one.check != check.name}
            self._stored = others | {self._key(check): verdict}
            self._changed = True

    def save(self) -> None:
        """Write what was added."""
        if self._changed and self.store:
            self.store.write(self._revision, self._stored)
            self._changed = False

    def _key(self, check: AnyCheck) -> str:
        return self.signatures.verdict(check, self.candidate, self._revision)


def _verdicts(check: Check, cases: Sequence[Case]) -> list[Verdict]:
    """A check's verdicts on all cases; one that breaks over all of them at once is asked about each."""
    if not isinstance(check, BatchCheck) or not cases:
        return [_verdict(check, *case) for case in cases]
    try:
        return [sign(check, finding) for finding in check.judge_all(cases)]
    except CannotJudge as error:
        return [pending(check, str(error)) for _ in cases]
    except StoreError:  # an image is lost: nothing that a check says of the candidate
        raise
    except Exception:
        return [_verdict(check, *case) for case in cases]


def _verdict(check: Check, candidate: Candidate, evidence: Evidence) -> Verdict:
    try:
        return sign(check, check.judge(candidate, evidence))
    except CannotJudge as error:
        return pending(check, str(error))
    except StoreError:
        raise
    except Exception as error:  # whatever a check trips over, it is no finding, and never the end of a build
        return pending_after(check, error)


async def _ask(check: ModelCheck, candidate: Candidate) -> Verdict:
    try:
        return sign(check, await check.judge(candidate))
    except CannotJudge as error:
        return pending(check, str(error))
    except MirsbError:  # nobody can be asked any more, or nothing kept
        raise
    except Exception as error:  # only its name, because its text may quote what a model answered
        return pending(check, f"the check broke: {type(error).__name__}")
