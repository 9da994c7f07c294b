"""An instance's story, and whether its hashes hold."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from mirsb_build.cli.render.base import console
from mirsb_build.records import Candidate, Image
from mirsb_build.views import Story, Title, Verification


def stories(titles: Sequence[Title], build: str) -> None:
    """The instances of a build, to choose one from."""
    table = Table("instance", "risk category", "relation type", "seed query", "state", "review", "rounds")
    for one in titles:
        row = (one.instance, one.risk_category, one.relation_type, one.seed_query, one.state, one.outcome)
        table.add_row(*map(escape, row), str(one.rounds))
    console.print(table)
    console.print(f"`mirsb audit {build} INSTANCE` tells one's story; the beginning of the id will do", markup=False)


def story(shown: Story) -> None:
    """An instance's story, oldest first."""
    seed = shown.seed_query
    console.print(f"[bold]{shown.instance}[/]: {shown.state}, {shown.outcome}")
    console.print(f"\n[bold]seed query[/] {seed.id}, {seed.risk_category}, facet {seed.facet}\n  {escape(seed.text)}")
    if call := seed.origin.call:
        console.print(
            f"  written by {call.model} from prompt {call.prompt} ({call.prompt_hash[:12]}), call {call.id[:12]}",
            markup=False,
        )
    else:
        console.print(f"  from {seed.origin.name} ({seed.origin.licence or 'no licence stated'})", markup=False)
    for attempt in shown.rounds:
        _round(attempt, shown)
    for decision in shown.decisions:
        simulated = " (simulated)" if decision.simulated else ""
        console.print(f"\n[bold]decision[/] {decision.decision} by {escape(decision.reviewer)}{simulated}")
        if decision.comment:
            console.print(f"  {escape(decision.comment)}")


def _round(attempt: Candidate, shown: Story) -> None:
    console.print(f"\n[bold]round {attempt.round}[/], {attempt.relation_type}, revision {attempt.revision[:12]}")
    for sentence in attempt.feedback:
        console.print(f"  asked for: {escape(sentence)}")
    for call in attempt.calls:
        prompt = f", prompt {call.prompt} ({call.prompt_hash[:12]})" if call.prompt else ""
        console.print(f"  {call.role} {call.model}{prompt}, call {call.id[:12]}", markup=False)
        console.print(f"  reply {call.reply_hash[:12]}: {escape(shown.replies[call.id] or 'not in the cache')}")
    if attempt.problem or attempt.excluded:
        console.print(f"  {escape(attempt.problem or f'excluded by {attempt.excluded}')}")
    if attempt.prompt:
        console.print(f"  prompt: {escape(attempt.prompt)}")
    for number, picture in enumerate(attempt.pictures, 1):
        console.print(f"  picture {number}: {picture.description} [{', '.join(picture.keywords)}]", markup=False)
        if picture.image:
            _image(picture.image)
        elif picture.problem:
            console.print(f"    no image: {picture.problem}", markup=False)
    for v in attempt.verdicts:
        score = "" if v.score is None else f" (score {v.score:g}, threshold {v.threshold:g})" if v.threshold else ""
        console.print(f"  {v.check} {v.version}: {v.outcome}{score}: {v.reason}", markup=False)


def _image(image: Image) -> None:
    console.print(f"    image {image.id[:12]} by {image.backend}, {image.width}x{image.height}", markup=False)
    if drawn := image.generation:
        console.print(
            f"    drawn by {drawn.model} at {drawn.revision} ({drawn.pipeline}, {drawn.scheduler}, {drawn.dtype}), "
            f"seed {drawn.seed}, {drawn.steps} steps, on {drawn.device}",
            markup=False,
        )
        console.print(f"    told: {drawn.prompt}{f' [cut: {drawn.cut}]' if drawn.cut else ''}", markup=False)
    for source in image.sources:
        console.print(f"    from {source.title}, {source.file}, by {source.author}, {source.licence}", markup=False)


def verification(result: Verification) -> None:
    """Whether every hash holds."""
    for finding in result.findings:
        console.print(f"{finding.where}: {finding.problem}", markup=False)
    console.print(f"{result.build}: {result.hashes - len(result.findings)} of {result.hashes} hashes hold")
