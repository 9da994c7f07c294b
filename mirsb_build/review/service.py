"""Review as a service: what waits for review in a build, handed out and taken back; for the command line and web pages.

It reads what the build's newest run has written, and needs no model, key, image backend or check. Decisions are saved
under a lock of their own, so that reviewers can save while a run is at work, which decides with those it found when it
began.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mirsb_build.errors import Damaged, UnknownName, UsageError
from mirsb_build.history import read_note
from mirsb_build.records import BuildOrder, Decision, Image, Outcome, Record, ReviewItem
from mirsb_build.review.decisions import DecisionLog, match_decisions, outcomes, read_decisions
from mirsb_build.review.items import export_jsonl
from mirsb_build.store import Store, review_lock

EXPORTS = {"jsonl": export_jsonl}
"""Formats of `mirsb review export`; a new one is a module with such a function, and an entry here."""


class Imported(Record):
    """What an import did."""

    decisions: int
    """Decisions in the file."""
    added: bool
    """False where the very same ones were imported last."""
    awaiting: int
    """Instances that still await review."""


class ReviewService:
    """The review of one build. Raises UnknownName for a build that is not there, Damaged where its note is cut."""

    def __init__(self, store: Store, build: str) -> None:
        self._store = store
        self._build = build
        self._note = read_note(store, build)
        self._log = DecisionLog(store, build)

    @property
    def items(self) -> list[ReviewItem]:
        """All that is under review, as the newest run left it."""
        return list(self._store.records(self._build, "review_export", 0, ReviewItem))

    @property
    def order(self) -> BuildOrder:
        """What goes on with the build, its store named so that another process finds it."""
        files = self._store.files
        return self._note.order.model_copy(update={"store": files.root if files.local else self._store.url})

    def outcomes(self) -> dict[str, Outcome]:
        """What became of each item, by instance."""
        return self._outcomes(self.items)

    def waiting(self) -> list[ReviewItem]:
        """Items that await review; raises UsageError where the build has not come so far."""
        items = self.items
        if not items:
            raise UsageError(
                f"build {self._build}: nothing is ready for review yet; run `mirsb build {self._build}` first"
            )
        found = self._outcomes(items)
        return [item for item in items if found[item.instance] == "awaiting"]

    def export(self, format: str, to: Path) -> int:
        """Write what awaits review to a file; return how many instances that are."""
        if format not in EXPORTS:
            raise UnknownName("format", format, EXPORTS)
        waiting = self.waiting()
        EXPORTS[format](waiting, to, self._read)
        return len(waiting)

    def import_file(self, file: Path) -> Imported:
        """Take in the decisions of a file, all or none; raises BadFile or UnknownName."""
        return self.add(read_decisions(file), str(file))

    def add(self, decisions: Sequence[Decision], where: str) -> Imported:
        """Save decisions; `where` says in messages where they come from.

        Raises UnknownName or BadFile, and saves none, where one is about what is not under review.
        """
        items = self.items
        match_decisions(decisions, {item.instance: item.checksum for item in items}, where)
        with review_lock(self._store.files, self._build):
            added = self._log.append(decisions)
            found = self._outcomes(items)
        awaiting = sum(outcome == "awaiting" for outcome in found.values())
        return Imported(decisions=len(decisions), added=added, awaiting=awaiting)

    def _outcomes(self, items: Sequence[ReviewItem]) -> dict[str, Outcome]:
        return outcomes(items, self._log.read(), self._note.profile.review.reviewers, self._note.target_of)

    def _read(self, image: Image) -> bytes:
        try:
            return self._store.get_blob(image.id, image.extension)
        except Damaged as damage:
            raise Damaged(
                f"{damage}; delete the file if it is there, and run `mirsb build {self._build}`, which makes it anew"
            ) from damage
