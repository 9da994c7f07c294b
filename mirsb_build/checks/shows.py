"""Shows what it should: each picture against its own description, by a model of yours."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from pydantic import Field

from mirsb_build.checks.missing import abstention
from mirsb_build.checks.picture_text import PictureText, identity
from mirsb_build.checks.shown import Shown, named, shown
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import ModelError
from mirsb_build.ports import Case, Evidence
from mirsb_build.records import Candidate, Picture, Record, Verdict
from mirsb_build.runtime.dependencies import lacking
from mirsb_build.similarity.pixels import to_rgb

NO_MODEL = "needs a model: set checks.shows.model to the folder or ORG/NAME of a CLIP or SigLIP"


class Shows:
    """Passes a candidate whose pictures all show what their descriptions say.

    The score is the smallest cosine (-1 to 1) of a picture and its keywords and description; one under `threshold`
    fails. What does not fit into the model's window for texts is not read: keywords come first. No weights are in any
    wheel, so it abstains until a model is named, and where that cannot be loaded.
    """

    name = "shows"
    costly = True

    class Options(Record):
        """Which model looks, and how near a picture has to be to its text."""

        model: str | None = None
        """Folder or ORG/NAME of a CLIP or SigLIP in the format of transformers."""
        threshold: float = Field(default=0.2, ge=-1, le=1)
        """For CLIP ViT-B/32 and B/16, by common practice and not measured here; any other model needs its own."""
        device: str = "cpu"
        """As torch names devices."""

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._chosen = options
        self._lock = Lock()
        self._model: PictureText | None = None
        self._cannot = NO_MODEL if options.model is None else lacking(["transformers", "torch"])
        self._known = ""
        if options.model is not None and self._cannot is None:
            try:
                self._known = identity(options.model)
            except ModelError as error:
                self._cannot = str(error)

    @property
    def version(self) -> str:
        """Part of a finished shard's key: once the model is there, what was abstained on is judged."""
        return f"1, {self._known}" if self._cannot is None else "1, cannot judge"

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        return self.judge_all([(candidate, evidence)])[0]

    def judge_all(self, cases: Sequence[Case]) -> list[Verdict]:
        """One verdict a case; all pictures and all texts go through the model together."""
        by_case = [shown(*case) for case in cases]
        everything = [one for pictures in by_case for one in pictures]
        try:
            model = self._loaded()
        except ModelError as error:
            return [abstention(self.name, self.version, str(error)) for _ in cases]
        texts = [text(one.picture) for one in everything]
        cosines = iter(model.cosines([to_rgb(one.pixels) for one in everything], texts))
        return [self._verdict(pictures, [round(float(next(cosines)), 4) for _ in pictures]) for pictures in by_case]

    def _verdict(self, pictures: Sequence[Shown], cosines: Sequence[float]) -> Verdict:
        if not pictures:
            return abstention(self.name, self.version, "there is no decoded picture to look at")
        lowest = min(cosines)
        unlike = [one.number for one, cosine in zip(pictures, cosines, strict=True) if cosine < self._chosen.threshold]
        worst = pictures[cosines.index(lowest)].number
        return Verdict(
            check=self.name,
            version=self.version,
            outcome="fail" if unlike else "pass",
            score=lowest,
            threshold=self._chosen.threshold,
            reason=f"picture {worst} is the least like its description ({lowest:.2f})",
            feedback=f"Describe for {named(unlike)} one thing that can be seen, in few words and named in the "
            "keywords: what was shown is something else."
            if unlike
            else "",
        )

    def _loaded(self) -> PictureText:
        """The model, loaded once for all threads; raises ModelError, and remembers why."""
        with self._lock:
            if self._cannot is None and self._model is None:
                try:
                    self._model = PictureText(str(self._chosen.model), self._chosen.device)
                except ModelError as error:
                    self._cannot = str(error)
            if self._model is None:
                raise ModelError(str(self._cannot))
            return self._model


def text(picture: Picture) -> str:
    """What a picture should show: keywords first, because what stands last may not be read."""
    return f"{', '.join(picture.keywords).capitalize()}. {picture.description}"
