"""How many candidates costly checks judge again when one answer of a model is another one.

A build of 500 candidates with the offline profile and `ocr_leakage`; then the revisor answers one request of the first
round differently, and the same build runs again.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from benchmarks.results import Row
from mirsb_build.checks.ocr_leakage import OcrLeakage
from mirsb_build.llm.offline import OfflineModel
from mirsb_build.ports import Evidence, Finding
from mirsb_build.records import Candidate, Reply, Request
from mirsb_build.store import Store
from tests.factories import finish

CANDIDATES = 500
BAR = 5
SETTINGS = (
    f"limits.candidates={CANDIDATES}",
    "limits.shard_size=24",
    "seeds.per_category=10",
    "seeds.categories=[]",
    "checks.ocr_leakage={}",
)
BUILD = "bench"


def measure() -> list[Row]:
    """Judgements of the costly check in the first run, in one with nothing to do, and after one changed answer."""
    with tempfile.TemporaryDirectory() as folder:
        first, seconds = _run(folder)
        again, idle = _run(folder)
        changed = _forget_one_draft(Store(folder))
        with _answered_differently(changed):
            after, busy = _run(folder)
    return [
        Row("candidates", CANDIDATES, ""),
        Row("judged by ocr_leakage in the first run", first.total(), ""),
        Row("judged again where nothing changed", again.total(), "", "0", not again),
        Row("judged again after one other answer", after.total(), "", f"<= {BAR}", 1 <= after.total() <= BAR),
        Row("first run", seconds, "s"),
        Row("run with nothing to do", idle, "s"),
        Row("run after one other answer", busy, "s"),
    ]


def _run(folder: str) -> tuple[Counter[str], float]:
    """Judgements by candidate, and seconds, of a run of the build."""
    judged = Counter[str]()
    judge = OcrLeakage.judge

    def counted(check: OcrLeakage, candidate: Candidate, evidence: Evidence) -> Finding:
        judged[candidate.id] += 1
        return judge(check, candidate, evidence)

    began = time.perf_counter()
    with patch.object(OcrLeakage, "judge", counted):
        finish(folder, *SETTINGS, build=BUILD)
    return judged, time.perf_counter() - began


def _forget_one_draft(store: Store) -> str:
    """Drop one call of the revisor and the shard that its answer is in; the call's key."""
    candidate = next(c for c in store.records(BUILD, "filter", 1, Candidate) if c.passed)
    key = candidate.calls[0].id
    store.forget_call(key)
    folder = f"builds/{BUILD}/decompose/round-1"
    for name in store.files.names(folder):
        if candidate.id.encode() in (store.files.read(f"{folder}/{name}") or b""):
            store.files.delete(f"{folder}/{name}")
    return key


@contextmanager
def _answered_differently(key: str) -> Generator[None]:
    """Have the revisor answer the request with that key in other words."""
    complete = OfflineModel.complete

    async def differently(model: OfflineModel, request: Request) -> Reply:
        reply = await complete(model, request)
        if request.key != key:
            return reply
        draft: dict[str, Any] = json.loads(reply.text)
        return reply.model_copy(update={"text": json.dumps(draft | {"prompt": f"{draft['prompt']} Take your time."})})

    with patch.object(OfflineModel, "complete", differently):
        yield
