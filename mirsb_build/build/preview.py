"""A few pictures of a relation type before a build pays for all: drafts chosen, drawn as the build will, on one sheet.

What is drawn here is drawn through the build's own images, so the build finds the pictures of its drafts in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import anyio
from more_itertools import interleave_longest

from mirsb_build.build.context import Context
from mirsb_build.errors import StoreError, UsageError
from mirsb_build.history import History
from mirsb_build.images import RenderResult
from mirsb_build.llm import offline
from mirsb_build.records import Candidate, Image, ImageSpec, Origin, Picture, Record, SeedQuery
from mirsb_build.store import build_lock
from mirsb_build.views.contact_sheet import Tile, draw_sheet

SKETCHED = "the relation type's sketches, because the build has no drafts of it yet"
DRAFTED = "the build's own drafts"


class Previewed(Record):
    """One picture of a preview."""

    candidate: str
    risk_category: str
    description: str
    image: str | None
    """SHA-256 of its blob; None where there is no image."""
    problem: str = ""
    seconds: float = 0.0
    """That it took when it was made, now or earlier."""
    cost: float = 0.0
    """Of its model calls, now or earlier, in the currency of the prices."""


class Preview(Record):
    """A contact sheet, and what is on it."""

    build: str
    relation_type: str
    backend: str
    words: str
    """Where the descriptions are from."""
    path: str
    """File, or name in the store."""
    made: int
    """Images that were made now; the others were in the cache."""
    pictures: tuple[Previewed, ...]

    @property
    def cost(self) -> float:
        return math.fsum(picture.cost for picture in self.pictures)


def preview(build: Context, relation_type: str, count: int, to: Path | None = None) -> Preview:
    """Draw `count` pictures of a relation type (fewer where there are no more drafts) and write their sheet.

    Raises UnknownName for the relation type, ModelError or BudgetReached when no more can be drawn, BuildLocked while
    the build runs: two processes that have the same picture drawn at once would cite two answers for one call.
    """
    name = build.taxonomy.relation_type(relation_type).name
    known = _known(build)
    drafts, words = _drafts(build, known, name, count)
    if not drafts:
        raise UsageError(
            f"build {build.name}: there is nothing to draw for {name}; check its sketches or the categories"
        )
    # With all that the build has drafted: a backend with a stock chooses for all of it at once, as the build will.
    allotted = {d.id: d for d in build.allotment.allot(known if words == DRAFTED else drafts)}
    drafts = [allotted[draft.id] for draft in drafts]
    if known:
        for call in History(build.store, build.name).calls():
            build.ledger.note(call.id, call.cost)
    wanted = [(draft, spec) for draft in drafts for spec in build.synthesize.specs(draft)][:count]
    with build_lock(build.store.files, build.name):
        made = anyio.run(_render, build, [spec for _, spec in wanted])
        told = [_told(build, draft, one) for (draft, _), one in zip(wanted, made, strict=True)]
        page = _sheet(build, name, words, told, made)
        path = _write(build, f"builds/{build.name}/preview/{name}.png", page, to)
    return Preview(
        build=build.name,
        relation_type=name,
        backend=build.images.identity,
        words=words,
        path=path,
        made=build.images.images_made,
        pictures=tuple(told),
    )


async def _render(build: Context, specs: Sequence[ImageSpec]) -> list[RenderResult]:
    try:
        return await build.images.render(specs)
    finally:
        await build.images.close()


# Which words.


def _known(build: Context) -> list[Candidate]:
    """The newest draft of every candidate that the build has, in the build's order."""
    newest: dict[str, Candidate] = {}
    for round in build.store.rounds(build.name, "decompose"):
        newest |= {draft.id: draft for draft in build.store.records(build.name, "decompose", round, Candidate)}
    names = set(build.relation_types)
    return build.in_order(
        [d for d in newest.values() if d.risk_category in build.categories and d.relation_type in names]
    )


def _drafts(build: Context, known: Sequence[Candidate], relation_type: str, count: int) -> tuple[list[Candidate], str]:
    """Candidates to draw, one risk category after the other in turn, and where their words are from."""
    drafted = [draft for draft in known if draft.relation_type == relation_type and draft.alive]
    if allowed := [draft for draft in drafted if _may_be_drawn(build, draft)]:
        return _in_turn(build, allowed), DRAFTED
    sketched = _in_turn(build, [d for d in _sketched(build, relation_type, count) if _may_be_drawn(build, d)])
    return sketched, SKETCHED


def _sketched(build: Context, relation_type: str, count: int) -> list[Candidate]:
    """What the offline grammar makes of its own seed queries: the first drafts of a build that is written by it."""
    relation = build.taxonomy.relation_type(relation_type)
    wanted = 1 + math.ceil(count / len(build.categories))
    drafts: list[Candidate] = []
    for name in build.categories:
        category = build.taxonomy.category(name)
        for seed in offline.write_seeds(category, wanted, ()):
            origin = Origin(kind="model", name="offline grammar")
            query = SeedQuery(risk_category=name, facet=seed.facet, text=seed.text, origin=origin)
            draft = offline.decompose(query.text, category.facet(query.facet), category, relation, 1, ())
            pictures = tuple(Picture(description=p.description, keywords=tuple(p.keywords)) for p in draft.pictures)
            if len({p.description for p in pictures}) == len(pictures):  # some first drafts repeat one on purpose
                prompt, named = draft.prompt, relation.name
                drafts.append(
                    Candidate(seed_query=query, relation_type=named, round=1, prompt=prompt, pictures=pictures)
                )
    return drafts


def _may_be_drawn(build: Context, draft: Candidate) -> bool:
    """Whether the policy lets every picture of it through."""
    words = [" ".join([picture.description, *picture.keywords]) for picture in draft.pictures]
    return bool(words) and not any(build.taxonomy.policy.screen(text, "image") for text in words)


def _in_turn(build: Context, drafts: Sequence[Candidate]) -> list[Candidate]:
    """One of each risk category, then another of each, in the build's order."""
    groups = [[d for d in build.in_order(drafts) if d.risk_category == name] for name in build.categories]
    return list(interleave_longest(*groups))


# What came of them.


def _told(build: Context, draft: Candidate, made: RenderResult) -> Previewed:
    result = made.result
    kept = build.store.get_call(build.images.key(result.spec)) or {}
    return Previewed(
        candidate=draft.id,
        risk_category=draft.risk_category,
        description=result.spec.description,
        image=result.id if isinstance(result, Image) else None,
        problem="" if isinstance(result, Image) else result.reason,
        seconds=kept.get("seconds", 0.0),
        cost=math.fsum(call.cost for call in made.calls),
    )


def _sheet(
    build: Context, relation_type: str, words: str, told: Sequence[Previewed], made: Sequence[RenderResult]
) -> bytes:
    tiles = [
        Tile(
            picture=build.images.read(one.result) if isinstance(one.result, Image) else None,
            caption=picture.description,
            group=f"{picture.risk_category.replace('_', ' ')} \u00b7 {picture.candidate[:8]}",
            problem=picture.problem,
        )
        for picture, one in zip(told, made, strict=True)
    ]
    subtitle = f"{len(tiles)} pictures by {build.images.identity}, profile {build.profile.name}; words: {words}"
    return draw_sheet(f"{relation_type}, build {build.name}", subtitle, tiles)


def _write(build: Context, name: str, page: bytes, to: Path | None) -> str:
    if to is None:
        build.store.files.write(name, page)
        return f"{build.store.url.rstrip('/')}/{name}"
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(page)
    except OSError as error:
        raise StoreError(f"{to}: cannot be written ({error.strerror}); give --to another file") from error
    return str(to)
