"""Everything that can go wrong, as people should hear of it.

    MirsbError                 exit 1  something failed; the message says what, where, and the next step
    ├── UsageError             exit 2  the command or a file of the user's is wrong
    │   ├── UnknownName                a profile, category, relation type, ... that does not exist
    │   └── BadFile                    a YAML, prompt or decisions file that cannot be used (file and line)
    ├── StoreError                     the store cannot be read or written
    │   ├── Damaged                    a stored file does not match its checksum
    │   └── BuildLocked                another process works on this build
    ├── ModelError                     a model or an image backend failed for good
    ├── CannotJudge                    a check lacks what it judges with; it abstains, and the next run asks it again
    ├── BudgetReached          exit 4  the build may not cost more, or make more calls
    ├── ReleaseError                   a release cannot be made or published
    └── WaitingForReview       exit 3  people have to decide before the build can go on

Every message is one line: what happened, to what, what to do now. Third-party exceptions become one of these where
the library is called.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MirsbError(Exception):
    """Base of the family; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(MirsbError):
    """The command or one of the user's files is wrong."""

    exit_code = 2


SHOWN = 12
"""Known names that a message lists at most."""


class UnknownName(UsageError):
    """A name that does not exist, with the nearest one that does."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5) or [
            k for k in known if k.lower() == name.lower()
        ]
        more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known[:SHOWN]) or 'none'}{more}"
        super().__init__(f"{where + ': ' if where else ''}unknown {kind} {name!r}; {hint}")


class BadFile(UsageError):
    """A file of the user's that cannot be used; `line` counts from 1."""

    def __init__(self, file: object, what: str, line: int | None = None) -> None:
        super().__init__(f"{file}{f', line {line}' if line else ''}: {what}")


class StoreError(MirsbError):
    """The store cannot be read or written."""


class Damaged(StoreError):
    """A stored file does not match its checksum; whoever reads it makes it again."""


class BuildLocked(StoreError):
    """Another process works on this build."""


class ModelError(MirsbError):
    """A model or an image backend failed for good."""


class CannotJudge(MirsbError):
    """A check lacks a package, weights or a library; it abstains, and the next run asks it again."""


class BudgetReached(MirsbError):
    """The build may not cost more, or make more calls; what is finished is kept."""

    exit_code = 4


class ReleaseError(MirsbError):
    """A release cannot be made or published."""


class WaitingForReview(MirsbError):
    """People have to decide before the build can go on."""

    exit_code = 3
