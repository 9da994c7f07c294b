"""What a run, a plan and a preview print."""

from __future__ import annotations

import shlex

from rich.markup import escape
from rich.table import Table

from mirsb_build.build.context import Context
from mirsb_build.build.doctor import Examined
from mirsb_build.build.plan import Plan
from mirsb_build.build.preview import Preview
from mirsb_build.cli.render.base import console, json_of, json_value
from mirsb_build.cli.render.funnel import shortages
from mirsb_build.defaults import DEFAULT_STORE
from mirsb_build.store import Store
from mirsb_build.views import Funnel


def outcome(result: Funnel, store: Store, already: bool) -> None:
    """What came of a build, and where it lies."""
    folder = escape(f"{store.url.rstrip('/')}/builds/{result.build}")
    if already:
        console.print(f"[bold]{result.build}[/]: nothing was left to do")
    console.print(
        f"[bold]{result.build}[/]: {result.candidates} candidates from {result.seeds} seed queries: "
        f"{result.passed} passed, {result.failed} failed, {result.dead} dead, {result.open} open"
    )
    if result.passed_in_round:
        rounds = ", ".join(f"{n} in round {k}" for k, n in result.passed_in_round.items())
        console.print(f"passed       {rounds}")
    simulated = " [yellow](simulated: nobody has looked at them)[/]" if result.simulated_review else ""
    revise = f", {result.to_revise} to revise" if result.to_revise else ""
    waiting = f", {result.awaiting_review} waiting" if result.awaiting_review else ""
    reserve = f", {result.reserve} in reserve" if result.reserve else ""
    counts = f"{result.accepted} accepted, {result.rejected} rejected{revise}{waiting}{reserve}"
    console.print(f"review       {counts}{simulated}")
    shortages(result)
    if result.release:
        console.print(f"release      {result.released} instances in {folder}/release/{result.release}")
    console.print(f"report       {folder}/report.html")


def next_steps(result: Funnel, store: str) -> None:
    """How to look at a build that is finished."""
    at = "" if store == DEFAULT_STORE else f" --store {shlex.quote(store)}"
    console.print("\nlook at it:")
    console.print(f"  open {store.rstrip('/')}/builds/{result.build}/report.html", markup=False)
    console.print(f"  mirsb status {result.build}{at}", markup=False)
    if result.example:
        console.print(f"  mirsb audit {result.build} {result.example}{at}", markup=False)


def plan(result: Plan) -> None:
    """What a build would do next."""
    if not result.lines:
        console.print(f"[bold]{result.build}[/]: nothing is left to do")
        return
    title = f"{result.build}, profile {escape(result.profile)}: what is left"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("stage")
    for name in ("round", "records", "calls", "from cache", "prompt tokens", "images"):
        table.add_column(name, justify="right")
    table.add_column("")
    for line in result.lines:
        numbers = [line.records, line.calls, line.cached_calls, line.prompt_tokens, line.images]
        shown = [f"{n:,}" if n else "-" for n in numbers]
        table.add_row(line.stage, str(line.round or "-"), *shown, "expected" if line.expected else "")
    console.print(table)
    saving = f" ({result.batch_saving:.2f} less in batches)" if result.batch_saving else ""
    console.print(
        f"in all: {result.calls:,} calls, {result.cached_calls:,} more from the cache, {result.images:,} images, "
        f"cost {result.cost:.2f}{saving}\ntokens and cost are estimated; later rounds expect "
        f"{result.expected_yield:.0%} of the candidates to pass"
        + (", and all of them to come to the judges" if any(line.stage == "filter" for line in result.lines) else "")
    )


def preview(result: Preview) -> None:
    """What is on a contact sheet, and where it lies."""
    for picture in result.pictures:
        if picture.problem:
            console.print(f"no picture of: {picture.description}: {picture.problem}", markup=False)
    drawn = sum(picture.image is not None for picture in result.pictures)
    cost = f", cost {result.cost:.2f}" if result.cost else ""
    console.print(
        f"[bold]{result.relation_type}[/]: {drawn} of {len(result.pictures)} pictures by {escape(result.backend)}, "
        f"{result.made} made now{cost}\nwords        {escape(result.words)}"
    )
    console.print(f"sheet        {result.path}", markup=False)


def taxonomy(opened: Context, as_json: bool) -> None:
    """What a profile builds on."""
    known = opened.taxonomy
    if as_json:
        names = {"risk_categories": list(known.categories), "relation_types": list(known.relation_types)}
        json_value({**names, "policy_rules": [r.name for r in known.policy.rules], "prompts": opened.prompts.hashes})
        return
    for category in known.categories.values():
        acts = sum(len(facet.stand_in.acts) for facet in category.facets)
        console.print(f"{category.name:<22} {len(category.facets)} facets, {acts} stand-ins")
    for relation in known.relation_types.values():
        span = f"{relation.min_pictures}-{relation.max_pictures} pictures"
        console.print(f"{relation.name:<22} {relation.family}, {span}, layout {relation.layout}")
    console.print(f"{len(known.policy.rules)} hard exclusions, {len(opened.prompts.hashes)} prompts: all in order")


def health(found: Examined, as_json: bool) -> None:
    """What doctor found."""
    if as_json:
        json_of(found)
        return
    for item in found.items:
        mark = "[green]ok[/]     " if item.ok else "[yellow]missing[/]"
        console.print(f"{mark} {item.name:<22} {escape(item.detail)}")
