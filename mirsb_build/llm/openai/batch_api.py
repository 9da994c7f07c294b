"""Batches at an endpoint: upload, submit, find, wait, read; with the endpoint's patience, and errors in our words."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import openai

from mirsb_build.errors import ModelError
from mirsb_build.llm.openai.batch_records import ENDED, BatchRecord
from mirsb_build.llm.openai.endpoint import Endpoint, Rejected
from mirsb_build.records import Record
from mirsb_build.runtime.progress import log

T = TypeVar("T")

TARGET = "/v1/chat/completions"
WINDOW = 24 * 3600.0
"""Seconds in which a batch is answered or expires; the API knows no other window."""
GRACE = 3600.0
"""Seconds beyond the window after which a batch that has not ended never will; and by which clocks may differ."""
SLOWER = 1.5
"""How much longer every wait between two looks at a batch is than the one before."""


@dataclass(frozen=True)
class Pace:
    """How long to wait for what, in seconds."""

    linger: float = 2.0
    """A batch is closed when no request came for so long."""
    first_look: float = 1.0
    """Between the first two looks at a batch; every wait after that is longer."""
    longest_look: float = 60.0
    """At most, between two looks."""
    patience: float = 3600.0
    """For an endpoint that cannot be reached while it works on a batch: nothing is lost by waiting."""


class Counts(Record):
    """Lines of a batch, as the endpoint counts them."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class Problem(Record):
    """What the endpoint found wrong with a batch as a whole."""

    code: str | None = None
    message: str | None = None


class Problems(Record):
    data: tuple[Problem, ...] | None = None


class RemoteBatch(Record):
    """A batch as the endpoint describes it."""

    id: str
    status: str
    created_at: float
    """Seconds since 1970, like `expires_at`."""
    expires_at: float | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    request_counts: Counts | None = None
    errors: Problems | None = None
    metadata: dict[str, str] | None = None

    @property
    def overdue(self) -> bool:
        """Whether it should have ended long ago."""
        return time.time() > (self.expires_at or self.created_at + WINDOW) + GRACE

    def __str__(self) -> str:
        counts = self.request_counts
        done = f", {counts.completed + counts.failed} of {counts.total} requests" if counts and counts.total else ""
        return f"batch {self.id}: {self.status.replace('_', ' ')}{done}"


@dataclass(frozen=True)
class Line:
    """What became of one request in a batch."""

    request: str
    """Its key."""
    answer: dict[str, Any] | None
    """The chat completion, if there is one."""
    problem: str = ""
    """The endpoint's code for why there is none."""


class BatchApi:
    """The batches of one endpoint.

    Every method raises ModelError where the endpoint has no batches, will not take one or stays out of reach.
    """

    def __init__(self, endpoint: Endpoint, pace: Pace) -> None:
        self._endpoint = endpoint
        self._client = endpoint.client
        self._pace = pace

    async def upload(self, lines: bytes) -> str:
        """Id of a new input file."""

        async def once() -> str:
            file = await self._client.files.create(file=("mirsb-build.jsonl", lines), purpose="batch")
            return _text(getattr(file, "id", None))

        return await self._tried(once)

    async def submit(self, record: BatchRecord) -> RemoteBatch:
        """Make the batch of an uploaded file, once: after an answer that got lost it is looked for first."""
        sent = False

        async def once() -> RemoteBatch:
            nonlocal sent
            if sent and (found := await self._look_for(record)):
                return found
            sent = True
            return _batch(
                await self._client.batches.create(
                    input_file_id=record.input_file_id,
                    endpoint=TARGET,
                    completion_window="24h",
                    metadata=record.metadata,
                )
            )

        return await self._tried(once)

    async def find(self, record: BatchRecord) -> RemoteBatch | None:
        """The batch of a record that does not know its id; None if it was never made."""
        return await self._tried(lambda: self._look_for(record))

    async def until_ended(self, batch_id: str) -> RemoteBatch | None:
        """The batch, when it has ended; None if the endpoint does not know it."""
        wait, told = self._pace.first_look, ""
        while True:
            batch = await self._tried(lambda: self._look_at(batch_id), self._pace.patience)
            if batch is None or batch.status in ENDED:
                return batch
            if batch.overdue:
                raise ModelError(
                    f"{self._endpoint.url}: batch {batch_id} is still {batch.status} long after its time; cancel it "
                    "there, then run the same command again: what it has not answered is sent alone"
                )
            if told != (told := str(batch)):
                log.info(told)
            await asyncio.sleep(wait)
            wait = min(self._pace.longest_look, wait * SLOWER)

    async def lines(self, file_id: str | None) -> list[Line] | None:
        """What a file says of each request; nothing where a batch has no such file, None if the file is gone."""
        if file_id is None:
            return []
        lines: list[Line] = []
        for _ in range(2):  # lines that cannot be read may be the download's fault, and once more costs nothing
            data = await self._tried(lambda: self._download(file_id))
            if data is None:
                return None
            read = [_line(raw) for raw in data.splitlines() if raw.strip()]
            lines = [line for line in read if line is not None]
            if len(lines) == len(read):
                break
        return lines

    def why_failed(self, batch: RemoteBatch) -> str:
        """The endpoint's words for what is wrong with a batch as a whole; empty where it says nothing."""
        problems = (batch.errors.data if batch.errors else None) or ()
        return self._endpoint.quoted(next((p.message or p.code or "" for p in problems), ""))

    async def _look_at(self, batch_id: str) -> RemoteBatch | None:
        try:
            return _batch(await self._client.batches.retrieve(batch_id))
        except openai.NotFoundError:
            return None

    async def _look_for(self, record: BatchRecord) -> RemoteBatch | None:
        """The newest come first, so the search ends where batches are older than the record."""
        try:
            page = await self._client.batches.list(limit=100)
            len(page.data)  # an empty list is an answer, no list is none
            async for listed in page:
                batch = _batch(listed)
                if record.metadata.items() <= (batch.metadata or {}).items():
                    return batch
                if batch.created_at < record.made_at.timestamp() - GRACE:
                    return None
        except (AttributeError, TypeError) as error:  # the client pages through whatever it was given
            raise ValueError("not a list of batches") from error
        return None

    async def _download(self, file_id: str) -> bytes | None:
        try:
            return (await self._client.files.content(file_id)).content
        except openai.NotFoundError:
            return None

    async def _tried(self, call: Callable[[], Awaitable[T]], deadline: float | None = None) -> T:
        async def once() -> T:
            try:
                return await call()
            except openai.NotFoundError as error:
                raise ModelError(
                    f"{self._endpoint.url} has no batches ({self._endpoint.quoted(error.message)}); take "
                    "'mode: batch' out of the profile, or check its base_url"
                ) from None  # the client's error may quote the key

        try:
            return await self._endpoint.tried(once, deadline)
        except Rejected as rejected:
            raise ModelError(
                f"{self._endpoint.url} takes no batch: {rejected.said}; mend that, or take 'mode: batch' out of the "
                "profile, then run the same command again"
            ) from rejected


def _batch(described: object) -> RemoteBatch:
    """Raises ValueError for an answer that is no batch; the client itself checks nothing."""
    return RemoteBatch.model_validate(described, from_attributes=True)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _line(raw: bytes) -> Line | None:
    """A line of an output or error file; None for one that cannot be read."""
    try:
        value: Any = json.loads(raw)
        response: Any = value.get("response") or {}
        body: Any = response.get("body") or {}
        error: Any = value.get("error") or body.get("error")
        status: Any = response.get("status_code")
        if error is None and status == 200:
            return Line(_text(value["custom_id"]), body)
        code: Any = cast(dict[str, Any], error).get("code") if isinstance(error, dict) else None
        return Line(_text(value["custom_id"]), None, str(code or status or "error"))
    except (ValueError, KeyError, AttributeError):
        return None
