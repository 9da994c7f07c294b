"""build.json: what was ordered, what that came to, and what the build is made with."""

from __future__ import annotations

from pydantic import ValidationError

from mirsb_build.config.profiles import Profile
from mirsb_build.errors import Damaged, UnknownName
from mirsb_build.records import BuildOrder, Cell, MadeWith, Record
from mirsb_build.store import Store


class BuildNote(Record):
    """A build's own note of itself; written when a run begins."""

    build: str
    order: BuildOrder
    profile: Profile
    """As it was resolved: file, parents and overrides."""
    risk_categories: tuple[str, ...]
    relation_types: dict[str, str]
    """Relation type -> family, in the build's order."""
    targets: tuple[tuple[str, str, int], ...] = ()
    """Risk category, relation type, instances; empty where no target is given."""
    made_with: MadeWith

    def agrees(self, other: BuildNote) -> bool:
        """Whether both say the same, wherever the store lies: one that was moved holds the same build."""
        here = self.order.model_copy(update={"store": other.order.store})
        return self.model_copy(update={"order": here}) == other

    @property
    def target_of(self) -> dict[Cell, int]:
        """Instances that each cell is to have."""
        return {(category, relation): count for category, relation, count in self.targets}


def note_file(build: str) -> str:
    """Where the note lies in the store."""
    return f"builds/{build}/build.json"


def read_note(store: Store, build: str) -> BuildNote:
    """The note of a build; raises UnknownName where there is no such build, Damaged where it cannot be read."""
    data = store.files.read(note_file(build))
    if data is None:
        raise UnknownName("build", build, store.builds(), where=f"store {store.url}")
    try:
        return BuildNote.model_validate_json(data)
    except ValidationError as error:
        raise Damaged(
            f"build {build}: its build.json cannot be read; run `mirsb build {build}` with the options that it was "
            "built with, which writes it anew"
        ) from error


def write_note(store: Store, note: BuildNote) -> bool:
    """Write the note, unless there is one that agrees; return whether it was written."""
    try:
        if read_note(store, note.build).agrees(note):
            return False
    except (UnknownName, Damaged):
        pass
    store.files.write(note_file(note.build), (note.model_dump_json(indent=2) + "\n").encode())
    return True
