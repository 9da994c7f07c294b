"""What the store keeps of batches: which requests went where, so that none is ever submitted twice."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Self

from pydantic import Field, ValidationError, model_validator

from mirsb_build.errors import Damaged
from mirsb_build.records import Record, content_hash
from mirsb_build.store import Store

FOLDER = "cache/batches"

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
"""States in which nothing more happens to a batch."""


class BatchRecord(Record):
    """One batch: kept when its file is uploaded and before it is submitted, then with all that becomes known of it."""

    url: str
    """Base URL of the endpoint."""
    requests: tuple[str, ...]
    """Keys of the requests, one a line of the input file."""
    intent: str
    """Tells this submission from any other of the same requests."""
    made_at: datetime
    input_file_id: str
    batch_id: str | None = None
    """None while it is not known whether the endpoint has the batch."""
    status: str = "intended"
    """`intended`, `submitted`, then the endpoint's own word for how it ended."""
    submitted: int = Field(ge=1)
    answered: int = Field(default=0, ge=0)
    resent: int = Field(default=0, ge=0)
    """Requests that the batch left without an answer; each is sent again alone."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        counted = self.answered + self.resent
        if self.submitted != len(self.requests) or counted != (self.submitted if self.status in ENDED else 0):
            raise ValueError("the counts do not add up")
        return self

    @property
    def name(self) -> str:
        """Hash of endpoint and requests: the record's name in the store."""
        return content_hash(self.url, sorted(self.requests))

    @property
    def file(self) -> str:
        """Where it lies in the store."""
        return f"{FOLDER}/{self.name}.json"

    @property
    def metadata(self) -> dict[str, str]:
        """What goes with the batch, so that it can be found without its id."""
        return {"made_by": "mirsb-build", "requests": self.name, "intent": self.intent}

    def found(self, batch: str) -> BatchRecord:
        """The same, with its batch at the endpoint."""
        return self._with(batch_id=batch, status="submitted")

    def ended(self, status: str, answered: int) -> BatchRecord:
        """The same, with what came of it."""
        return self._with(status=status, answered=answered, resent=self.submitted - answered)

    def _with(self, **changes: object) -> BatchRecord:
        return BatchRecord.model_validate(self.model_dump() | changes)


def intended(url: str, requests: Sequence[str], input_file_id: str) -> BatchRecord:
    """The record of a batch that is about to be submitted."""
    return BatchRecord(
        url=url,
        requests=tuple(requests),
        intent=uuid.uuid4().hex,
        made_at=datetime.now(UTC),
        input_file_id=input_file_id,
        submitted=len(requests),
    )


class BatchRecords:
    """The records of one endpoint's batches."""

    def __init__(self, store: Store, url: str) -> None:
        self._store = store
        self._url = url

    def all(self) -> list[BatchRecord]:
        """Every record, oldest first; raises Damaged for one that cannot be read, because a batch may hang on it."""
        names = [f"{FOLDER}/{name}" for name in self._store.files.names(FOLDER)]
        records = [record for record in map(self._read, names) if record.url == self._url]
        return sorted(records, key=lambda record: record.made_at)

    def keep(self, record: BatchRecord) -> None:
        """Write a record, in place of what was known before."""
        self._store.write_json(record.file, record.model_dump(mode="json"))

    def drop(self, record: BatchRecord) -> None:
        """Forget a batch that answers nothing."""
        self._store.files.delete(record.file)

    def _read(self, name: str) -> BatchRecord:
        try:
            return BatchRecord.model_validate(self._store.read_json(name))
        except ValidationError as error:
            raise Damaged(
                f"{name} in store {self._store.url} is damaged: it says which requests went into a batch; restore it, "
                "or delete it, and what that batch holds is asked and paid for again"
            ) from error
