"""`mode: batch`: the requests of a role collected, sent as one file, and answered within a day at a lower price.

A batch outlives the process that sent it. What the store keeps of it (`batch_records`) is written before the batch is
made; so after a restart a request that is in a batch waits for that batch, and is not sent a second time. Nothing here
ever cancels a batch: it is paid for, and what it answers is picked up by the next run.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections import Counter
from dataclasses import dataclass, field

from mirsb_build.errors import ModelError
from mirsb_build.llm.openai.batch_api import TARGET, BatchApi, Line, Pace, RemoteBatch
from mirsb_build.llm.openai.batch_records import ENDED, BatchRecord, BatchRecords, intended
from mirsb_build.llm.openai.chat import OpenAIModel, reply_of
from mirsb_build.llm.openai.endpoint import Endpoint
from mirsb_build.records import Reply, Request
from mirsb_build.runtime.progress import log
from mirsb_build.store import Store

MOST_LINES = 50_000
"""What the API takes in one file."""
MOST_BYTES = 150_000_000
"""Below the 200 MB that the API takes."""
MOST_LINGERS = 30
"""A batch is closed after so many times the linger, however steadily requests come in."""

Answers = dict[str, Reply]
"""Request key -> reply, for the requests that a batch answered."""


@dataclass
class _Batch:
    """A batch on its way: it gathers lines until it has a record."""

    record: BatchRecord | None = None
    keys: list[str] = field(default_factory=list[str])
    lines: io.BytesIO = field(default_factory=io.BytesIO)
    began: float = field(default_factory=time.monotonic)
    latest: float = 0.0
    """When the latest request came."""
    task: asyncio.Task[Answers | None] | None = None
    """The work on it, while there is some."""

    def has_room(self, line: bytes) -> bool:
        """Whether the API would take one more line."""
        return len(self.keys) < MOST_LINES and self.lines.tell() + len(line) <= MOST_BYTES

    def add(self, key: str, line: bytes) -> None:
        """One more request."""
        self.keys.append(key)
        self.lines.write(line)
        self.latest = time.monotonic()


class BatchModel:
    """A model that is asked in batches.

    What a batch leaves without an answer (failed, expired, cancelled or missing lines) is sent again alone, once, at
    the full price. All coroutines belong to one event loop.
    """

    def __init__(self, model: OpenAIModel, endpoint: Endpoint, store: Store, pace: Pace | None = None) -> None:
        self._model = model
        self._url = endpoint.url
        self._pace = pace or Pace()
        self._api = BatchApi(endpoint, self._pace)
        self._records = BatchRecords(store, endpoint.url)
        self._known: dict[str, _Batch] | None = None
        """The batch of each request; read from the store when the first request comes."""
        self._gathering: _Batch | None = None

    async def complete(self, request: Request) -> Reply:
        """The answer from a batch, or else one that is asked for alone; raises ModelError where there is none.

        Cancelling it leaves the batch as it is.
        """
        json_format = await self._model.json_format() if request.reply_schema else "text"
        while (answers := await asyncio.shield(self._work_on(request, json_format))) is None:
            pass  # that batch answers nothing, now or ever: the request goes into another one
        return answers.get(request.key) or await self._model.complete(request)

    def _work_on(self, request: Request, json_format: str) -> asyncio.Task[Answers | None]:
        """The work on the batch that has the request; on the one that is gathering, if none has it yet."""
        if self._known is None:
            batches = [_Batch(record, list(record.requests)) for record in self._records.all()]
            self._known = {key: batch for batch in batches for key in batch.keys}
        batch = self._known.get(request.key)
        if batch is None:
            batch = self._known[request.key] = self._gathered(request, json_format)
        if batch.task is None:
            batch.task = asyncio.get_running_loop().create_task(self._work(batch))
            batch.task.add_done_callback(_look_at)
        return batch.task

    def _gathered(self, request: Request, json_format: str) -> _Batch:
        """The batch that now has the request."""
        body = self._model.body(request, json_format)
        line = {"custom_id": request.key, "method": "POST", "url": TARGET, "body": body}
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if self._gathering is None or not self._gathering.has_room(data):
            self._gathering = _Batch()
        self._gathering.add(request.key, data)
        return self._gathering

    async def _work(self, batch: _Batch) -> Answers | None:
        """See a batch through; None if it answers nothing, so that its requests have to go into another one."""
        try:
            if batch.record is None:
                await self._quiet(batch)
                await self._submit(batch)
            elif batch.record.batch_id is None:
                await self._find(batch, batch.record)
            answers = await self._answers(batch)
            if answers is None:
                self._forget(batch)
            return answers
        finally:
            batch.task = None
            if batch.record is None:
                self._forget(batch)

    async def _quiet(self, batch: _Batch) -> None:
        """Wait until no more requests come in, or they have been coming for long enough."""
        until = batch.began + MOST_LINGERS * self._pace.linger
        while (wait := min(batch.latest + self._pace.linger, until) - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if self._gathering is batch:
            self._gathering = None

    async def _submit(self, batch: _Batch) -> None:
        lines, batch.lines = batch.lines.getvalue(), io.BytesIO()
        record = self._keep(batch, intended(self._url, batch.keys, await self._api.upload(lines)))
        remote = await self._api.submit(record)
        self._keep(batch, record.found(remote.id))
        log.info(f"batch {remote.id}: {record.submitted} requests submitted")

    async def _find(self, batch: _Batch, record: BatchRecord) -> None:
        """Look for a batch whose id was not written down: whoever submitted it was killed then, or just before."""
        remote = await self._api.find(record)
        if remote is not None:
            self._keep(batch, record.found(remote.id))
            log.info(f"batch {remote.id}: found again, {record.submitted} requests")

    async def _answers(self, batch: _Batch) -> Answers | None:
        """What a submitted batch answers, once it has ended; None if it was never made or nothing is left of it."""
        record = batch.record
        if record is None or record.batch_id is None:
            return None
        remote = await self._api.until_ended(record.batch_id)
        done = await self._api.lines(remote.output_file_id) if remote else None
        if remote is None or done is None:
            self._mind_loss(record)
            return None
        left = await self._api.lines(remote.error_file_id) or []
        answers = _replies(done, record)
        self._keep(batch, record.ended(remote.status, len(answers)))
        self._tell(remote, record, answers, [*done, *left])
        return answers

    def _mind_loss(self, record: BatchRecord) -> None:
        """An endpoint may forget a batch whose answers were picked up; raises ModelError for any other."""
        if record.status not in ENDED:
            raise ModelError(
                f"{self._url} has no batch {record.batch_id}, or not its answers, though it should: was it submitted "
                f"with another key? Use that one, or delete {record.file} from the store to ask and pay for them anew"
            )
        log.info(f"batch {record.batch_id}: the endpoint no longer has its answers; they are asked for anew")

    def _tell(self, remote: RemoteBatch, record: BatchRecord, answers: Answers, lines: list[Line]) -> None:
        """Say how a batch ended, and why what it left was left."""
        reasons = Counter({line.request: line.problem for line in lines if line.problem}.values())
        parts = [f"{count} {reason}" for reason, count in reasons.most_common()]
        parts = [why] if (why := self._api.why_failed(remote)) else parts
        resent = record.submitted - len(answers)
        because = f" ({', '.join(parts)})" if parts else ""
        left = f", {resent} to be sent again alone{because}" if resent else ""
        log.info(f"batch {remote.id}: {remote.status}; {len(answers)} of {record.submitted} answered{left}")

    def _keep(self, batch: _Batch, record: BatchRecord) -> BatchRecord:
        self._records.keep(record)
        batch.record = record
        return record

    def _forget(self, batch: _Batch) -> None:
        """Let the requests of a batch go into another one."""
        if batch.record:
            self._records.drop(batch.record)
        for key in batch.keys:
            if self._known and self._known.get(key) is batch:
                del self._known[key]


def _replies(lines: list[Line], record: BatchRecord) -> Answers:
    """The replies to the record's requests that can be read."""
    wanted, answers = set(record.requests), Answers()
    for line in lines:
        if line.answer is not None and line.request in wanted:
            try:
                answers[line.request] = reply_of(line.answer).model_copy(update={"batch": True})
            except ModelError:
                continue
    return answers


def _look_at(task: asyncio.Task[Answers | None]) -> None:
    """Take note of how a task ended, so that asyncio does not complain when nobody waits for it any more."""
    if not task.cancelled():
        task.exception()
