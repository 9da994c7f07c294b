"""Seed queries crossed with relation types: the candidates of a build."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from more_itertools import interleave_longest

from mirsb_build.records.candidates import Candidate, SeedQuery


def cross(
    seeds: Sequence[SeedQuery], categories: Sequence[str], relation_types: Sequence[str], limit: int | None
) -> list[Candidate]:
    """Every seed query with every relation type; with a limit, the same number from every cell as far as it goes."""
    cells = {(category, relation): list[Candidate]() for relation in relation_types for category in categories}
    for seed in seeds:
        for relation in relation_types:
            cells[seed.risk_category, relation].append(Candidate(seed_query=seed, relation_type=relation))
    return list(islice(interleave_longest(*cells.values()), limit))
