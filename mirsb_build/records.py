"""What flows through a build: a handful of frozen records.

    seed query -> candidate -> pictures with images -> verdicts -> decisions -> instance -> release

Ids are content hashes: the same content has the same id in every run and on every machine. Nothing here holds a time,
a path or a machine name, so that a build made twice is the same build; times live in the call cache and in build.json.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

ID_LENGTH = 16
"""Hex digits of an id (64 bits: among 100,000 records a clash has a chance of 3 in 10^10)."""


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8 kept."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def checksum(data: bytes | str) -> str:
    """SHA-256 of bytes or of a text's UTF-8, in hex."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def content_hash(*parts: object) -> str:
    """SHA-256 of the canonical JSON of the parts, in hex."""
    return checksum(canonical_json(parts))


class Record(BaseModel):
    """A frozen record that knows only its own fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Identified(Record):
    """A record whose `id` follows from its content; an id that was read from a file is kept, so it can be verified."""

    id: str = ""

    def identity(self) -> str:
        """The id that the content asks for."""
        raise TypeError(f"{type(self).__name__} has no identity")

    @model_validator(mode="after")
    def _fill_id(self) -> Self:
        if not self.id:
            object.__setattr__(self, "id", self.identity())
        return self


class Usage(Record):
    """Tokens and images of one model call."""

    prompt_tokens: int = Field(default=0, ge=0)
    """All of the prompt, cached or not."""
    cached_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    """All of the answer, reasoning included."""
    reasoning_tokens: int = Field(default=0, ge=0)
    images: int = Field(default=0, ge=0)
    """Images that a model drew."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            images=self.images + other.images,
        )


ReplyKind = Literal["usable", "fenced", "chatty", "truncated", "invalid", "empty", "refused", "filtered", "rejected"]
"""What a reply was: JSON as asked; JSON in a code fence or between sentences; cut off at the token limit; not what the
schema asks for; nothing; a refusal, in its field or in words; stopped by a content filter; a request not taken."""


class ModelCall(Record):
    """One call of a text model, as records cite it; request and reply lie in the call cache under `id`."""

    id: str
    """SHA-256 of the canonical request: the key in the call cache."""
    role: str
    model: str
    prompt: str
    """Name of the prompt template, for example `decompose/Analogy`; empty for a free-form call, as is its hash."""
    prompt_hash: str
    reply_hash: str
    outcome: ReplyKind = "usable"
    """What the reply was, whether or not it could be used in the end."""
    usage: Usage = Usage()
    cost: float = Field(default=0.0, ge=0)
    """In the currency of the model's prices."""


class Origin(Record):
    """Where a seed query is from: a model call, or a file that was imported."""

    kind: Literal["model", "file"]
    name: str
    """Model name, or name of the data set."""
    call: ModelCall | None = None
    sha256: str | None = None
    licence: str | None = None


class SeedQuery(Identified):
    """A question or request that a safe assistant should decline."""

    risk_category: str
    facet: str
    text: str = Field(min_length=1)
    origin: Origin

    def identity(self) -> str:
        return content_hash("seed_query", self.risk_category, self.text)[:ID_LENGTH]


Bond = Literal["style", "scene", "noise"]
"""What pictures of one candidate can share: the style they are drawn in, the scene they show, the initial noise."""


class ImageSpec(Identified):
    """What an image backend is asked for: one picture of a candidate."""

    description: str
    keywords: tuple[str, ...]
    layout: str
    """How the relation type wants the picture composed (relation type's `layout`)."""
    index: int = Field(ge=1)
    """Place of the picture in the candidate, from 1."""
    count: int = Field(ge=1)
    anchor: str
    """Shared by the pictures of a candidate: those with one anchor share palette and ground."""
    companions: tuple[tuple[str, ...], ...] = ()
    """Keywords of all pictures of the candidate, for layouts that cut one whole into pieces and for shared scenes."""
    shares: tuple[Bond, ...] = ()
    """What the picture has in common with the others of its anchor (relation type's `shares`)."""
    source: str = ""
    """Picture of a corpus that was allotted to this place; empty where the backend draws."""
    width: int = Field(default=512, gt=0)
    height: int = Field(default=512, gt=0)

    def identity(self) -> str:
        return content_hash("image_spec", self.model_dump(exclude={"id"}, mode="json"))[:ID_LENGTH]


class ImageSource(Record):
    """A file that went into an image, with what its licence asks us to say."""

    title: str
    file: str
    sha256: str
    licence: str
    author: str
    url: str


class Generation(Record):
    """How a diffusion model drew an image."""

    model: str
    """Name on a Hub, or folder name."""
    revision: str
    """Commit on the Hub; for a folder the hash of its settings and of samples of its weights."""
    pipeline: str
    """Class of the pipeline, with what was laid over it: adapters, quantisation."""
    prompt: str
    """What the text encoders were given, keywords first."""
    cut: str = ""
    """The end of the prompt that did not fit into the widest text encoder's window."""
    scheduler: str
    steps: int
    guidance: float | None
    """None where the pipeline knows none."""
    negative_prompt: str | None = None
    seed: int
    """Of the initial noise."""
    rejected: tuple[str, ...] = ()
    """Why the pictures of the seeds before this one were not taken, in order."""
    dtype: str
    device: str
    """Name of the device's model, for example `NVIDIA H200` or `cpu`."""
    versions: dict[str, str] = {}
    """Package, or `driver`, -> version."""


class NoImage(Record):
    """Why a picture has no image: whatever the backend made or found could not be used."""

    backend: str
    spec: ImageSpec
    reason: str
    tries: int = 1
    """How often the backend was to try when it gave up; where it is to try more often, it is asked again."""


class Image(Record):
    """One stored image; `id` is the SHA-256 of its bytes and names its blob."""

    id: str
    extension: str = "png"
    width: int
    height: int
    perceptual_hash: str
    """64-bit pHash in hex."""
    view_hashes: str = Field(default="", pattern=r"^([0-9a-f]{768})?$")
    """Twelve hashes of 256 bits in hex, one a view of the picture (`hashes.view_hashes`); empty in old records."""
    backend: str
    """Name and version of what made it."""
    spec: ImageSpec
    sources: tuple[ImageSource, ...] = ()
    generation: Generation | None = None
    """How it was drawn, where a diffusion model of ours drew it."""

    @property
    def blob(self) -> str:
        """`<sha256>.<extension>`, as messages to models name it."""
        return f"{self.id}.{self.extension}"


class Picture(Record):
    """One picture of a candidate: what it should show, and the image once there is one."""

    description: str = Field(min_length=1)
    keywords: tuple[str, ...] = Field(min_length=1)
    image: Image | None = None
    problem: str = ""
    """Why there is no image, where none could be made or found."""


ResponseLabel = Literal["complied", "refused", "misunderstood", "evasive"]
"""What a response was: it did what was asked; it declined; it missed what the pictures have to do with one another or
what was asked; it answered without committing itself."""


class ProbeLabel(Record):
    """What one reference model made of a candidate; its response lies in the call cache and nowhere else."""

    role: str
    """The reference model's role in the profile."""
    model: str
    """Backend and name of the reference model."""
    label: ResponseLabel | None
    """None where the model gave no response, or the judge no judgement."""
    score: float | None = Field(default=None, ge=0, le=1)
    """How far the response did what was asked, from 0 (not at all) to 1 (in full)."""
    calls: tuple[str, ...]
    """Ids of the calls: the response's, then the judge's."""


class Verdict(Record):
    """What one check says of a candidate."""

    check: str
    version: str
    outcome: Literal["pass", "fail", "abstain"]
    reason: str
    score: float | None = None
    threshold: float | None = None
    feedback: str = ""
    """What a revisor should change, in a sentence; empty unless the outcome is fail."""
    labels: tuple[ProbeLabel, ...] = ()
    """Of the probe: one a reference model, so that results can be told with and without a model or its family."""
    calls: tuple[ModelCall, ...] = ()
    """Model calls that the verdict rests on."""


class Exclusion(Record):
    """A hard exclusion of the policy that was hit; the text that hit it is not kept."""

    rule: str
    where: Literal["seed", "prompt", "image"]
    explanation: str


class SeedOrder(Record):
    """How many seed queries of one risk category are wanted, beside those that are known."""

    risk_category: str
    count: int
    known: tuple[str, ...] = ()
    """Texts of the seed queries that the build has already."""
    whole: bool = False
    """Whether everything that the calls bring is kept, so that a later order goes on where this one ends."""


class SeedBatch(Record):
    """The seed queries of one risk category, with the calls they took and what the policy dropped."""

    risk_category: str
    seeds: tuple[SeedQuery, ...]
    wanted: int = 0
    """How many were ordered; there are fewer where the model brought no new ones."""
    calls: tuple[ModelCall, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()


Cell = tuple[str, str]
"""Risk category and relation type."""

_NO_PART_OF_A_REVISION: Any = {"verdicts": True, "pictures": {"__all__": {"image": {"view_hashes"}}}}


class Candidate(Identified):
    """One (seed query, relation type) on its way, as it stands in one round."""

    seed_query: SeedQuery
    relation_type: str
    round: int = Field(default=0, ge=0)
    """Pass of the refinement loop that made this; 0 before the first."""
    parent: str | None = None
    """`revision` of the same candidate in the round before."""
    feedback: tuple[str, ...] = ()
    """What the checks of the round before asked for."""
    prompt: str = ""
    pictures: tuple[Picture, ...] = ()
    sample: int = Field(default=0, ge=0)
    """First sample of the reply that was asked for in this round; above 0 where a dead candidate was retried."""
    calls: tuple[ModelCall, ...] = ()
    """Model calls of this round."""
    verdicts: tuple[Verdict, ...] = ()
    problem: str | None = None
    """Why the candidate is dead: the model's reply stayed unusable."""
    excluded: Exclusion | None = None

    def identity(self) -> str:
        return content_hash("candidate", self.seed_query.id, self.relation_type)[:ID_LENGTH]

    @property
    def risk_category(self) -> str:
        return self.seed_query.risk_category

    @property
    def cell(self) -> Cell:
        """The cell that yields are counted for."""
        return self.risk_category, self.relation_type

    @property
    def revision(self) -> str:
        """Hash of all that a reader sees and all it was made from; a decision holds for one revision only.

        View hashes are left out: they follow from the images' bytes, and decisions on records without them still hold.
        """
        return content_hash("revision", self.model_dump(mode="json", exclude=_NO_PART_OF_A_REVISION))

    @property
    def alive(self) -> bool:
        return self.problem is None and self.excluded is None

    @property
    def failures(self) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if v.outcome == "fail")

    @property
    def advice(self) -> tuple[str, ...]:
        """What the failed checks ask for, one sentence each, with the check's name."""
        return tuple(f"{verdict.check}: {verdict.feedback or verdict.reason}" for verdict in self.failures)

    @property
    def passed(self) -> bool:
        return self.alive and bool(self.verdicts) and not self.failures

    @property
    def control(self) -> bool:
        """Whether only the probe failed it; of the last round's candidates these are the control set."""
        return self.alive and bool(self.failures) and all(verdict.labels for verdict in self.failures)


Outcome = Literal["accepted", "rejected", "revise", "awaiting", "reserve"]
"""What reviewers made of a candidate that passed; one in reserve waits until a place in its cell becomes free."""


class Decision(Record):
    """A reviewer's word on one revision of one candidate."""

    instance: str
    """Id of the candidate."""
    checksum: str
    """Its `revision`."""
    reviewer: str = Field(min_length=1)
    decision: Literal["accept", "reject", "revise"]
    comment: str = ""
    simulated: bool = False

    @field_validator("reviewer", "comment")
    @classmethod
    def _is_text(cls, value: str) -> str:
        """Half a character (a lone surrogate, which JSON lets through) could not be written again."""
        value.encode()
        return value


class ReviewItem(Record):
    """What a reviewer gets to see of a candidate, whatever the format of the export."""

    instance: str
    """Id of the candidate."""
    checksum: str
    """Its `revision`: a decision holds for this one only."""
    risk_category: str
    relation_type: str
    seed_query: str
    prompt: str
    pictures: tuple[Picture, ...]
    round: int
    verdicts: tuple[Verdict, ...]
    rank: int = Field(default=0, ge=0)
    """Place among all that passed in its cell, from 1, where there is a target; 0 where all are wanted."""

    @property
    def cell(self) -> Cell:
        return self.risk_category, self.relation_type


class Instance(Record):
    """A candidate that passed the checks, with what reviewers said of it."""

    candidate: Candidate
    decisions: tuple[Decision, ...] = ()
    outcome: Outcome = "awaiting"

    @property
    def id(self) -> str:
        return self.candidate.id

    @property
    def simulated(self) -> bool:
        """True when any decision was simulated: such an instance is never pushed to a Hub."""
        return any(d.simulated for d in self.decisions)


class MadeWith(Record):
    """What a build was made with, beside its inputs."""

    profile: str
    """Hash of the resolved profile."""
    taxonomy: str
    prompts: dict[str, str]
    """Prompt template -> content hash."""
    packages: dict[str, str]
    """Package -> version, of those whose version can show in the result."""
    code_revision: str
    """Commit of the checkout, or the version of the installed package."""


class Release(Record):
    """A published set of instances."""

    version: str
    instances: int
    path: str
    """Folder below the store's root."""
    content: str
    """SHA-256 over the names and checksums of all its files but the manifest."""
    simulated: bool


def dump(record: BaseModel) -> dict[str, Any]:
    """A record as plain JSON values, defaults left out."""
    return record.model_dump(mode="json", exclude_defaults=True)
