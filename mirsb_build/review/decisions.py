"""Reviewers' decisions: read from a file, matched with what they are about, kept append-only, and added up."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from mirsb_build.config.yaml_files import explain, read_text
from mirsb_build.errors import BadFile, StoreError, UnknownName
from mirsb_build.records import Cell, Decision, Outcome, ReviewItem, checksum, dump
from mirsb_build.store import Store


def read_decisions(file: Path) -> list[Decision]:
    """The decisions in a JSONL file, rows without one left out; raises BadFile with the line."""
    decisions: list[Decision] = []
    for number, row in enumerate(read_text(file).split("\n"), 1):
        if not row.strip():
            continue
        try:
            value = json.loads(row)
        except ValueError as error:
            raise BadFile(file, f"is not JSON: {error}", number) from error
        if not isinstance(value, dict):
            raise BadFile(file, "must hold one JSON object a line", number)
        row_of = cast(dict[str, Any], value)
        fields = {
            key: row_of[key] for key in Decision.model_fields if key in row_of
        }  # the export has other columns too
        if not fields.get("decision"):
            continue
        try:
            decisions.append(Decision.model_validate(fields))
        except ValidationError as error:
            raise BadFile(file, explain(Decision, error), number) from error
    if not decisions:
        raise BadFile(file, "holds no decision; fill in 'reviewer' and 'decision' (accept, reject or revise)")
    return decisions


def match_decisions(decisions: Iterable[Decision], revisions: Mapping[str, str], where: str) -> None:
    """Check that every decision is about what is under review; nothing is imported when one is not.

    `revisions` maps the id of each instance under review to its checksum. Raises UnknownName or BadFile.
    """
    for decision in decisions:
        if decision.instance not in revisions:
            raise UnknownName("instance", decision.instance, revisions, where=where)
        if decision.checksum != revisions[decision.instance]:
            raise BadFile(
                where,
                f"instance {decision.instance} has changed since it was exported (its checksum differs); "
                "export the review again and decide on what it is now",
            )


def outcome(decisions: Sequence[Decision], needed: int) -> Outcome:
    """What each reviewer's latest word adds up to: the majority's, once `needed` have spoken and there is one."""
    latest = {decision.reviewer: decision.decision for decision in decisions}
    if len(latest) < needed:
        return "awaiting"
    first, votes = Counter(latest.values()).most_common(1)[0]
    if 2 * votes <= len(latest):
        return "awaiting"
    words: dict[str, Outcome] = {"accept": "accepted", "reject": "rejected", "revise": "revise"}
    return words[first]


def outcomes(
    items: Sequence[ReviewItem], decisions: Iterable[Decision], needed: int, targets: Mapping[Cell, int]
) -> dict[str, Outcome]:
    """What became of each item, by instance; a decision on another revision does not count.

    A cell with a target takes so many that are accepted or await their decision, the accepted first, then those that
    somebody has looked at, then by rank; the others are its reserve, and come in where reviewers reject one.
    """
    said: dict[tuple[str, str], list[Decision]] = {(item.instance, item.checksum): [] for item in items}
    for decision in decisions:
        if (decision.instance, decision.checksum) in said:
            said[decision.instance, decision.checksum].append(decision)
    found: dict[str, Outcome] = {item.instance: outcome(said[item.instance, item.checksum], needed) for item in items}
    free = dict(targets)
    for item in sorted(
        items, key=lambda i: (found[i.instance] != "accepted", not said[i.instance, i.checksum], i.rank)
    ):
        if item.cell in free and found[item.instance] in ("accepted", "awaiting"):
            free[item.cell] -= 1
            if free[item.cell] < 0:
                found[item.instance] = "reserve"
    return found


def turned_down(decisions: Iterable[Decision], needed: int) -> set[tuple[str, str]]:
    """Instance and checksum of all that were rejected or to be revised at any time, decisions in their order.

    What has been made up for stays made up for, also where reviewers come round to it later.
    """
    said: dict[tuple[str, str], list[Decision]] = {}
    found: set[tuple[str, str]] = set()
    for decision in decisions:
        key = decision.instance, decision.checksum
        said.setdefault(key, []).append(decision)
        if outcome(said[key], needed) in ("rejected", "revise"):
            found.add(key)
    return found


class DecisionLog:
    """The decisions of a build: one file an import, never rewritten."""

    def __init__(self, store: Store, build: str) -> None:
        self._store = store
        self._folder = f"builds/{build}/review"

    def read(self) -> list[Decision]:
        """All decisions, in the order they were imported; raises StoreError for a file that was changed."""
        decisions: list[Decision] = []
        for name in self._names():
            data = self._store.files.read(f"{self._folder}/{name}") or b""
            if checksum(data)[:12] not in name:
                raise StoreError(
                    f"{self._folder}/{name}: does not match its checksum; put the file back as it was imported, "
                    "or delete it and import the decisions again"
                )
            decisions += [Decision.model_validate_json(row) for row in data.decode().split("\n") if row]
        return decisions

    def append(self, decisions: Sequence[Decision]) -> bool:
        """Add the decisions; False when they are the very ones that were added last."""
        data = "".join(json.dumps(dump(d), ensure_ascii=False) + "\n" for d in decisions).encode()
        digest = checksum(data)[:12]
        names = self._names()
        if names and digest in max(names, key=lambda name: int(name.split("-")[1])):
            return False
        last = max((int(name.split("-")[1]) for name in names), default=0)
        self._store.files.write(f"{self._folder}/decisions-{last + 1:04d}-{digest}.jsonl", data)
        return True

    def _names(self) -> list[str]:
        return [n for n in self._store.files.names(self._folder) if n.startswith("decisions-")]
