"""What a build has written, read back without opening it: no models, keys, image backend or checks.

note.py    build.json: what was ordered and what it is made with
course.py  passes.jsonl: the passes of the newest run, as they happened; finished.json: how it ended
reader.py  History: the records of those passes
"""

from mirsb_build.history.course import (
    Course,
    Finish,
    Pass,
    delete_finish,
    passes_digest,
    read_finish,
    read_passes,
    shard_files,
    write_finish,
)
from mirsb_build.history.note import BuildNote, read_note, write_note
from mirsb_build.history.reader import STAGES, History, State

__all__ = [
    "STAGES",
    "BuildNote",
    "Course",
    "Finish",
    "History",
    "Pass",
    "State",
    "delete_finish",
    "passes_digest",
    "read_finish",
    "read_note",
    "read_passes",
    "shard_files",
    "write_finish",
    "write_note",
]
