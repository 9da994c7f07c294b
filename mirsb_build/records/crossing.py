"""Seed queries crossed with relation types: the candidates of a build."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

from mirsb_build.records.candidates import Candidate, SeedQuery


def cross(
    seeds: Sequence[SeedQuery], categories: Sequence[str], relation_types: Sequence[str], limit: int | None
) -> list[Candidate]:
    """Every seed query with every relation type; with a limit, the same number from every cell as far as it goes."""
    cells = {(category, relation): list[Candidate]() for relation in relation_types for category in categories}
    for seed in seeds:
        for relation in relation_types:
            cells[seed.risk_category, relation].append(Candidate(seed_query=seed, relation_type=relation))
    in_turn = chain.from_iterable(zip_longest(*cells.values()))
    return [candidate for candidate in in_turn if candidate is not None][:limit]
