"""Image-text match: each picture against its own description, by a model of yours."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from mirsb_build.checks.decoded import DecodedPicture, decoded_pictures, name_pictures
from mirsb_build.checks.image_text_model import ImageTextModel, model_identity
from mirsb_build.checks.lazy_model import LazyModel, find_packages
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import CannotJudge
from mirsb_build.ports import BatchCheck, Case, Evidence, Finding
from mirsb_build.records import Candidate, Picture, Record
from mirsb_build.similarity.pixels import to_rgb

NO_MODEL = "needs a model: set checks.image_text_match.model to the folder or ORG/NAME of a CLIP or SigLIP"


class ImageTextMatch(BatchCheck):
    """Passes a candidate whose pictures all show what their descriptions say.

    The score is the smallest cosine (-1 to 1) of a picture and its keywords and description; one under `threshold`
    fails. What does not fit into the model's window for texts is not read: keywords come first. No weights are in any
    wheel, so it abstains until a model is named, and where that cannot be loaded.
    """

    name = "image_text_match"
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
        self._threshold = options.threshold
        name, device = options.model, options.device

        def find() -> str:
            if name is None:
                raise CannotJudge(NO_MODEL)
            find_packages(["transformers", "torch"])
            return model_identity(name)

        self._model = LazyModel(find, lambda: ImageTextModel(str(name), device), str(name))
        self.version = f"1, {self._model.identity}"

    def lacks(self) -> str | None:
        return self._model.lacks()

    def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
        return self.judge_all([(candidate, evidence)])[0]

    def judge_all(self, cases: Sequence[Case]) -> list[Finding]:
        """One finding a case; all pictures and all texts go through the model together."""
        model = self._model.get()
        by_case = [decoded_pictures(*case) for case in cases]
        everything = [one for pictures in by_case for one in pictures]
        texts = [text(one.picture) for one in everything]
        cosines = iter(model.cosines([to_rgb(one.pixels) for one in everything], texts))
        return [self._finding(pictures, [round(float(next(cosines)), 4) for _ in pictures]) for pictures in by_case]

    def _finding(self, pictures: Sequence[DecodedPicture], cosines: Sequence[float]) -> Finding:
        if not pictures:
            return Finding("abstain", "there is no decoded picture to look at")
        lowest = min(cosines)
        unlike = [one.number for one, cosine in zip(pictures, cosines, strict=True) if cosine < self._threshold]
        worst = pictures[cosines.index(lowest)].number
        return Finding(
            outcome="fail" if unlike else "pass",
            score=lowest,
            threshold=self._threshold,
            reason=f"picture {worst} is the least like its description ({lowest:.2f})",
            feedback=f"Describe for {name_pictures(unlike)} one thing that can be seen, in few words and named in the "
            "keywords: what was shown is something else."
            if unlike
            else "",
        )


def text(picture: Picture) -> str:
    """What a picture should show: keywords first, because what stands last may not be read."""
    return f"{', '.join(picture.keywords).capitalize()}. {picture.description}"
