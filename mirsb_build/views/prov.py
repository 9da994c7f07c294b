"""An instance's story as W3C PROV-JSON (https://www.w3.org/submissions/prov-json/), for tools that read provenance."""

from __future__ import annotations

from typing import Any

from mirsb_build.records import Candidate
from mirsb_build.views.audit import Story

PREFIX = {"mirsb": "https://arxiv.org/abs/2601.14127#"}


def prov(story: Story) -> dict[str, Any]:
    """Entities (seed, revisions, images, sources), activities (rounds, review) and agents (models, reviewers)."""
    graph = _Graph()
    seed = graph.add("entity", f"seed-{story.seed_query.id}", {"mirsb:text": story.seed_query.text})
    if call := story.seed_query.origin.call:
        writing = graph.add("activity", f"call-{call.id[:16]}", {"mirsb:prompt": call.prompt_hash})
        graph.link("wasGeneratedBy", entity=seed, activity=writing)
        graph.link("wasAssociatedWith", activity=writing, agent=graph.add("agent", call.model, {}))
    before = seed
    for attempt in story.rounds:
        before = _round(graph, attempt, before, seed)
    for decision in story.decisions:
        made = {"mirsb:decision": decision.decision, "mirsb:simulated": decision.simulated}
        review = graph.add("activity", f"review-{decision.reviewer}-{decision.checksum[:16]}", made)
        graph.link("used", activity=review, entity=before)
        graph.link("wasAssociatedWith", activity=review, agent=graph.add("agent", decision.reviewer, {}))
    return {"prefix": PREFIX, **graph.parts}


def _round(graph: _Graph, attempt: Candidate, before: str, seed: str) -> str:
    """One round's entities; returns the name of the revision it made."""
    verdicts = {f"mirsb:{v.check}": v.outcome for v in attempt.verdicts}
    revision = graph.add("entity", f"revision-{attempt.revision[:16]}", {"mirsb:round": attempt.round, **verdicts})
    graph.link("wasDerivedFrom", generatedEntity=revision, usedEntity=before)
    for call in attempt.calls:
        activity = graph.add("activity", f"call-{call.id[:16]}", {"mirsb:prompt": call.prompt_hash})
        graph.link("used", activity=activity, entity=seed)
        graph.link("wasGeneratedBy", entity=revision, activity=activity)
        graph.link("wasAssociatedWith", activity=activity, agent=graph.add("agent", call.model, {}))
    for image in (p.image for p in attempt.pictures if p.image):
        pixels = graph.add(
            "entity", f"image-{image.id[:16]}", {"mirsb:sha256": image.id, "mirsb:backend": image.backend}
        )
        graph.link("wasDerivedFrom", generatedEntity=revision, usedEntity=pixels)
        if drawn := image.generation:
            told = {"mirsb:seed": drawn.seed, "mirsb:steps": drawn.steps, "mirsb:device": drawn.device}
            drawing = graph.add("activity", f"drawing-{image.id[:16]}", told)
            graph.link("wasGeneratedBy", entity=pixels, activity=drawing)
            model = graph.add("agent", f"{drawn.model}@{drawn.revision}", {})
            graph.link("wasAssociatedWith", activity=drawing, agent=model)
        for source in image.sources:
            said = {"mirsb:file": source.file, "mirsb:licence": source.licence, "mirsb:author": source.author}
            file = graph.add("entity", f"source-{source.sha256[:16]}", said)
            graph.link("wasDerivedFrom", generatedEntity=pixels, usedEntity=file)
    return revision


class _Graph:
    """The parts of a PROV-JSON document while they are put together."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, Any]] = {}

    def add(self, kind: str, name: str, attributes: dict[str, Any]) -> str:
        name = f"mirsb:{name}"
        self.parts.setdefault(kind, {}).setdefault(name, attributes)
        return name

    def link(self, relation: str, **ends: str) -> None:
        links = self.parts.setdefault(relation, {})
        links[f"_:{relation}{len(links) + 1}"] = {f"prov:{end}": name for end, name in ends.items()}
