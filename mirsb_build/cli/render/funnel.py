"""The funnel as tables: builds, checks, cells, and what there is too little of."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from mirsb_build.cli.render.base import console
from mirsb_build.views import Funnel


def builds(results: Sequence[Funnel], store: str) -> None:
    """A line for every build of a store."""
    if not results:
        console.print(f"no builds in {store}; `mirsb demo` makes one", markup=False)
        return
    table = Table(box=None)
    for name in ("build", "profile", "stage"):
        table.add_column(name)
    for name in ("candidates", "passed", "accepted", "released"):
        table.add_column(name, justify="right")
    for result in results:
        numbers = (result.candidates, result.passed, result.accepted, result.released)
        table.add_row(result.build, escape(result.profile), result.stage, *(f"{n:,}" for n in numbers))
    console.print(table)


def check(result: Funnel, name: str) -> None:
    """Where one check failed candidates, by cell and round."""
    for table in _failure_tables(result, name):
        console.print(table)


def status(result: Funnel) -> None:
    """The funnel of a build."""
    console.print(f"[bold]{result.build}[/], profile {escape(result.profile)}, last stage {result.stage}")
    console.print(
        f"{result.candidates} candidates from {result.seeds} seed queries = {result.passed} passed + "
        f"{result.failed} failed + {result.dead} dead + {result.open} open; {result.excluded} excluded by policy"
    )
    if result.control:
        console.print(f"  {result.control} of the failed are the control set: only the probe failed them")
    for rule, count in result.excluded_by_rule.items():
        console.print(f"  excluded by {rule}: {count}", markup=False)
    simulated = " (simulated)" if result.simulated_review else ""
    console.print(
        f"review{simulated}: {result.accepted} accepted, {result.rejected} rejected, {result.to_revise} to revise, "
        f"{result.awaiting_review} waiting"
        + (f", {result.reserve} in reserve" if result.reserve else "")
        + f"; released: {result.released}"
    )
    shortages(result)
    console.print(
        f"{result.calls} model calls, {result.tokens:,} tokens, cost {result.cost:.2f}; {result.images} images"
    )
    if set(result.replies) - {"usable"}:
        console.print("replies: " + ", ".join(f"{count} {kind}" for kind, count in result.replies.items()))
    for why, count in result.dead_because.items():
        console.print(f"  {count} dead: {why}", markup=False)
    if result.cost:
        console.print(_spending_table(result))
    console.print(_check_table(result))
    console.print(_cell_table(result))


def shortages(result: Funnel) -> None:
    """What there is too little of, and why: seed queries, and instances of cells with a target."""
    for category, missing in result.seeds_missing.items():
        console.print(f"seeds        {category}: {missing} fewer than ordered; the seed writer brings no new ones")
    wanted = [cell for cell in result.cells if cell.target]
    if not wanted:
        return
    short = [cell for cell in wanted if cell.missing]
    console.print(f"targets      {len(wanted) - len(short)} of {len(wanted)} cells have what they are to have")
    for cell in short:
        console.print(
            f"  {cell.risk_category} / {cell.relation_type}: {(cell.target or 0) - cell.missing} of {cell.target}; "
            f"{cell.why_missing}",
            markup=False,
        )


def _spending_table(result: Funnel) -> Table:
    table = Table(title="calls, tokens and cost", title_justify="left", box=None)
    for name in ("stage", "role", "model"):
        table.add_column(name)
    for name in ("calls", "tokens in", "tokens out", "cost"):
        table.add_column(name, justify="right")
    for spend in result.spending:
        stage = f"{spend.stage}, round {spend.round}" if spend.round else spend.stage
        tokens = f"{spend.usage.prompt_tokens:,}", f"{spend.usage.completion_tokens:,}"
        table.add_row(stage, spend.role, escape(spend.model), f"{spend.calls:,}", *tokens, f"{spend.cost:.2f}")
    return table


def _check_table(result: Funnel) -> Table:
    rounds = sorted({count.round for count in result.checks})
    table = Table(title="failed / judged, by check and round", title_justify="left", box=None)
    table.add_column("check")
    for number in rounds:
        table.add_column(f"round {number}", justify="right")
    for name in dict.fromkeys(count.check for count in result.checks):
        counts = {c.round: c for c in result.checks if c.check == name}
        cells = [
            f"{c.failed} / {c.passed + c.failed}" + (f", [bold]{c.abstained} abstained[/]" if c.abstained else "")
            for n in rounds
            if (c := counts.get(n))
        ]
        table.add_row(name, *cells)
    return table


def _failure_tables(result: Funnel, check: str) -> list[Table]:
    """Of each round, how many candidates of each cell one check failed."""
    tables: list[Table] = []
    for number in sorted({count.round for count in result.checks}):
        failed = {
            (f.relation_type, f.risk_category): f for f in result.failures if (f.check, f.round) == (check, number)
        }
        table = _grid(result, f"{check}, round {number}: failed / judged, by cell")
        for relation in dict.fromkeys(cell.relation_type for cell in result.cells):
            found = (failed.get((relation, c)) for c in dict.fromkeys(cell.risk_category for cell in result.cells))
            table.add_row(relation, *(f"{one.failed} / {one.judged}" if one else "-" for one in found))
        tables.append(table)
    return tables


def _cell_table(result: Funnel) -> Table:
    targets = {cell.target for cell in result.cells if cell.target is not None}
    title = "passed / candidates, by cell"
    if targets:
        title += f", {targets.pop()} wanted in each" if len(targets) == 1 else ", how many are wanted in brackets"
    table = _grid(result, title)
    categories = list(dict.fromkeys(cell.risk_category for cell in result.cells))
    for relation in dict.fromkeys(cell.relation_type for cell in result.cells):
        row = {c.risk_category: c for c in result.cells if c.relation_type == relation}
        targeted = (f" ({row[c].target})" if targets else "" for c in categories)
        counts = (f"{row[c].passed} / {row[c].candidates}" for c in categories)
        table.add_row(relation, *(count + target for count, target in zip(counts, targeted, strict=True)))
    return table


def _grid(result: Funnel, title: str) -> Table:
    """An empty table with a column a risk category."""
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("relation type", min_width=max(len(cell.relation_type) for cell in result.cells))  # never cut
    for category in dict.fromkeys(cell.risk_category for cell in result.cells):
        table.add_column(category.replace("_", " "), justify="right")
    return table
