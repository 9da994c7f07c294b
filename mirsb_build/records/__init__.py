"""What flows through a build: a handful of frozen records.

seed query -> candidate -> pictures with images -> verdicts -> decisions -> instance -> release
"""

from mirsb_build.records.base import (
    ID_LENGTH,
    Identified,
    Record,
    canonical_json,
    checksum,
    content_hash,
    dump,
    hash_each,
)
from mirsb_build.records.builds import (
    BuildOrder,
    MadeWith,
    Release,
)
from mirsb_build.records.calls import (
    Message,
    ModelCall,
    Reply,
    ReplyKind,
    Request,
    Usage,
)
from mirsb_build.records.candidates import (
    Candidate,
    Cell,
    Exclusion,
    Origin,
    ProbeLabel,
    ResponseLabel,
    SeedBatch,
    SeedOrder,
    SeedQuery,
    Verdict,
)
from mirsb_build.records.pictures import (
    Bond,
    Generation,
    Image,
    ImageSource,
    ImageSpec,
    NoImage,
    Picture,
)
from mirsb_build.records.review import (
    Decision,
    Instance,
    Outcome,
    ReviewItem,
)

__all__ = [
    "ID_LENGTH",
    "Bond",
    "BuildOrder",
    "Candidate",
    "Cell",
    "Decision",
    "Exclusion",
    "Generation",
    "Identified",
    "Image",
    "ImageSource",
    "ImageSpec",
    "Instance",
    "MadeWith",
    "Message",
    "ModelCall",
    "NoImage",
    "Origin",
    "Outcome",
    "Picture",
    "ProbeLabel",
    "Record",
    "Release",
    "Reply",
    "ReplyKind",
    "Request",
    "ResponseLabel",
    "ReviewItem",
    "SeedBatch",
    "SeedOrder",
    "SeedQuery",
    "Usage",
    "Verdict",
    "canonical_json",
    "checksum",
    "content_hash",
    "dump",
    "hash_each",
]
