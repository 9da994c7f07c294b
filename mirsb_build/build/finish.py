"""The end of a run: its report, and a note by which the next one sees at once that nothing is left to do."""

from __future__ import annotations

from mirsb_build.build.context import Context
from mirsb_build.errors import MirsbError
from mirsb_build.history import (
    Finish,
    History,
    passes_digest,
    read_finish,
    read_note,
    read_passes,
    shard_files,
    write_finish,
)
from mirsb_build.records import Release, checksum, content_hash, hash_each
from mirsb_build.store.shards import read_head
from mirsb_build.views import Funnel, funnel, write_report


def conclude(context: Context) -> None:
    """Write the report and the finish of a run that came to its end; where checks have to be asked again, no finish."""
    store, name = context.store, context.name
    if read_finish(store, name) is not None and store.files.exists(f"builds/{name}/report.html"):
        return
    history = History(store, name)
    write_report(history)
    if any(v.pending for attempts in history.attempts.values() for a in attempts for v in a.verdicts):
        return
    finish = Finish(
        key=course_key(context),
        passes=passes_digest(store, name),
        shards={file: checksum(_shard(context, file)) for *_, file in shard_files(history.passes)},
        summary=funnel(history).model_dump(mode="json"),
    )
    write_finish(store, name, finish)


def course_key(context: Context) -> str:
    """Hash of all that a finished build depends on."""
    stages = (context.seeds, context.decompose, context.synthesize, context.filter, context.review_export)
    return content_hash(
        context.note.model_dump(mode="json", exclude={"order"}),
        [(peer.release, peer.candidate.revision) for peer in context.released],
        hash_each(decision.model_dump(mode="json") for decision in context.decisions),
        [stage.key(()) for stage in stages],
        context.publish.key(()),
    )


def nothing_left(context: Context) -> Funnel | None:
    """The funnel of a build that is finished, unchanged and whole as it lies there; None where a run has to look.

    Every shard is compared with its checksum, and every blob and every file of a release has to be there in its length.
    No image and no record is read.
    """
    finish = read_finish(context.store, context.name)
    if finish is None or (context.order.retry_dead and finish.summary["dead"]):
        return None
    whole = _documents_stand(context) and finish.key == course_key(context) and _shards_stand(context, finish)
    return Funnel.model_validate(finish.summary) if whole else None


def _documents_stand(context: Context) -> bool:
    """Whether the report is there, and the note says what it would say now."""
    store, name = context.store, context.name
    try:
        return store.files.exists(f"builds/{name}/report.html") and read_note(store, name).agrees(context.note)
    except MirsbError:  # a note that is missing or cut is written anew by the run
        return False


def _shards_stand(context: Context, finish: Finish) -> bool:
    """Whether every shard is what it was, and what it speaks of is there."""
    store, name = context.store, context.name
    for entered, _, file in shard_files(read_passes(store, name)):
        data = _shard(context, file)
        if checksum(data) != finish.shards.get(file):
            return False
        blobs = read_head(data, file).blobs if entered.stage == context.filter.name else {}
        if not all(store.has_blob(*_parts(blob), length) for blob, length in blobs.items()):
            return False
    return context.publish.intact(list(store.records(name, "publish", 0, Release)))


def _parts(blob: str) -> tuple[str, str]:
    """SHA-256 and extension of a blob's name."""
    sha256, _, extension = blob.partition(".")
    return sha256, extension


def _shard(context: Context, file: str) -> bytes:
    return context.store.files.read(f"builds/{context.name}/{file}") or b""
