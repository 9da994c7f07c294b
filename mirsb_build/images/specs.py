"""What a candidate's pictures ask of an image backend."""

from __future__ import annotations

from mirsb_build.config.taxonomy import RelationType
from mirsb_build.records import Candidate, ImageSpec


def image_specs(candidate: Candidate, relation_type: RelationType, size: tuple[int, int]) -> list[ImageSpec]:
    """One spec a picture, in order; none for a candidate that is dead or excluded. `size` is (width, height)."""
    if not candidate.alive:
        return []
    return [
        ImageSpec(
            description=picture.description,
            keywords=picture.keywords,
            layout=relation_type.layout,
            index=index,
            count=len(candidate.pictures),
            candidate=candidate.id,
            group_keywords=tuple(p.keywords for p in candidate.pictures),
            shares=relation_type.shares,
            source=picture.source,
            width=size[0],
            height=size[1],
        )
        for index, picture in enumerate(candidate.pictures, 1)
    ]
