"""Review: what reviewers see, what they decide, and the instance that comes of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from mirsb_build.records.base import Record
from mirsb_build.records.candidates import Candidate, Cell, Verdict
from mirsb_build.records.pictures import Picture

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
