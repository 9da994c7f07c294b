"""What commands print: tables and bars on a terminal, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import json
import logging
import os
import shlex
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from mirsb_build import DEFAULT_STORE
from mirsb_build.build.context import Context
from mirsb_build.build.doctor import Examined
from mirsb_build.build.plan import Plan
from mirsb_build.build.preview import Preview
from mirsb_build.records import Candidate, Image
from mirsb_build.runtime.progress import Step, log
from mirsb_build.store import Store
from mirsb_build.views import Funnel, Story, Title, Verification

console = Console(highlight=False, soft_wrap=True)


def json_of(record: BaseModel) -> None:
    """A record as JSON on stdout."""
    print(record.model_dump_json(indent=2))


def json_list(records: Sequence[BaseModel]) -> None:
    """Records as a JSON list on stdout."""
    json_value([record.model_dump(mode="json") for record in records])


def json_value(value: object) -> None:
    """Plain JSON values on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


@contextmanager
def progress() -> Generator[None]:
    """Show the steps of a build as they come: bars on a terminal, lines on stderr elsewhere."""
    terminal = sys.stderr.isatty() and not os.environ.get("CI")
    handler = _Bars() if terminal else _Lines()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        with handler:
            yield
    finally:
        log.removeHandler(handler)


class _Bars(logging.Handler):
    """One bar a pass of a stage."""

    def __init__(self) -> None:
        super().__init__()
        columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> None:
        self._progress.start()
        self._waiting = self._progress.add_task("starting", total=None)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "step", None)
        if not isinstance(step, Step):
            self._progress.console.print(record.getMessage(), markup=False)
            return
        self._progress.update(self._waiting, visible=False)
        if step.name not in self._tasks:
            self._tasks[step.name] = self._progress.add_task(step.name, total=step.total)
        self._progress.update(self._tasks[step.name], completed=step.done, total=step.total)


class _Lines(logging.Handler):
    """One line when a pass of a stage is done, and whatever else is worth a line."""

    def __enter__(self) -> None:
        self._said: set[str] = set()

    def __exit__(self, *_: object) -> None: ...

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "step", None)
        line = record.getMessage()
        if not isinstance(step, Step):
            _write_line(line)
        elif step.done == step.total and line not in self._said:
            self._said.add(line)
            _write_line(line)


def _write_line(line: str) -> None:
    """A line on stderr in one write, so that Ctrl-C does not come between it and its end."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def outcome(result: Funnel, store: Store, already: bool) -> None:
    """What came of a build, and where it lies."""
    folder = f"{store.url.rstrip('/')}/builds/{result.build}"
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


def stories(titles: Sequence[Title], build: str) -> None:
    """The instances of a build, to choose one from."""
    table = Table("instance", "risk category", "relation type", "seed query", "state", "review", "rounds")
    for one in titles:
        row = (one.instance, one.risk_category, one.relation_type, one.seed_query, one.state, one.outcome)
        table.add_row(*map(escape, row), str(one.rounds))
    console.print(table)
    console.print(f"`mirsb audit {build} INSTANCE` tells one's story; the beginning of the id will do", markup=False)


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


def plan(result: Plan) -> None:
    """What a build would do next."""
    if not result.lines:
        console.print(f"[bold]{result.build}[/]: nothing is left to do")
        return
    table = Table(title=f"{result.build}, profile {result.profile}: what is left", title_justify="left", box=None)
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
        f"{result.made} made now{cost}\nwords        {result.words}"
    )
    console.print(f"sheet        {result.path}", markup=False)


def builds(results: Sequence[Funnel], store: str) -> None:
    """A line for every build of a store."""
    if not results:
        console.print(f"no builds in {store}; `mirsb demo` makes one")
        return
    table = Table(box=None)
    for name in ("build", "profile", "stage"):
        table.add_column(name)
    for name in ("candidates", "passed", "accepted", "released"):
        table.add_column(name, justify="right")
    for result in results:
        numbers = (result.candidates, result.passed, result.accepted, result.released)
        table.add_row(result.build, result.profile, result.stage, *(f"{n:,}" for n in numbers))
    console.print(table)


def check(result: Funnel, name: str) -> None:
    """Where one check failed candidates, by cell and round."""
    for table in _failure_tables(result, name):
        console.print(table)


def status(result: Funnel) -> None:
    """The funnel of a build."""
    console.print(f"[bold]{result.build}[/], profile {result.profile}, last stage {result.stage}")
    console.print(
        f"{result.candidates} candidates from {result.seeds} seed queries = {result.passed} passed + "
        f"{result.failed} failed + {result.dead} dead + {result.open} open; {result.excluded} excluded by policy"
    )
    if result.control:
        console.print(f"  {result.control} of the failed are the control set: only the probe failed them")
    for rule, count in result.excluded_by_rule.items():
        console.print(f"  excluded by {rule}: {count}")
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


def _spending_table(result: Funnel) -> Table:
    table = Table(title="calls, tokens and cost", title_justify="left", box=None)
    for name in ("stage", "role", "model"):
        table.add_column(name)
    for name in ("calls", "tokens in", "tokens out", "cost"):
        table.add_column(name, justify="right")
    for spend in result.spending:
        stage = f"{spend.stage}, round {spend.round}" if spend.round else spend.stage
        tokens = f"{spend.usage.prompt_tokens:,}", f"{spend.usage.completion_tokens:,}"
        table.add_row(stage, spend.role, spend.model, f"{spend.calls:,}", *tokens, f"{spend.cost:.2f}")
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
        told = (f" ({row[c].target})" if targets else "" for c in categories)
        counts = (f"{row[c].passed} / {row[c].candidates}" for c in categories)
        table.add_row(relation, *(count + target for count, target in zip(counts, told, strict=True)))
    return table


def _grid(result: Funnel, title: str) -> Table:
    """An empty table with a column a risk category."""
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("relation type", min_width=max(len(cell.relation_type) for cell in result.cells))  # never cut
    for category in dict.fromkeys(cell.risk_category for cell in result.cells):
        table.add_column(category.replace("_", " "), justify="right")
    return table


def story(told: Story) -> None:
    """An instance's story, oldest first."""
    seed = told.seed_query
    console.print(f"[bold]{told.instance}[/]: {told.state}, {told.outcome}")
    console.print(f"\n[bold]seed query[/] {seed.id}, {seed.risk_category}, facet {seed.facet}\n  {escape(seed.text)}")
    if call := seed.origin.call:
        console.print(
            f"  written by {call.model} from prompt {call.prompt} ({call.prompt_hash[:12]}), call {call.id[:12]}"
        )
    else:
        console.print(f"  from {seed.origin.name} ({seed.origin.licence or 'no licence stated'})")
    for attempt in told.rounds:
        _round(attempt, told)
    for decision in told.decisions:
        simulated = " (simulated)" if decision.simulated else ""
        console.print(f"\n[bold]decision[/] {decision.decision} by {escape(decision.reviewer)}{simulated}")
        if decision.comment:
            console.print(f"  {escape(decision.comment)}")


def _round(attempt: Candidate, told: Story) -> None:
    console.print(f"\n[bold]round {attempt.round}[/], {attempt.relation_type}, revision {attempt.revision[:12]}")
    for sentence in attempt.feedback:
        console.print(f"  asked for: {escape(sentence)}")
    for call in attempt.calls:
        prompt = f", prompt {call.prompt} ({call.prompt_hash[:12]})" if call.prompt else ""
        console.print(f"  {call.role} {call.model}{prompt}, call {call.id[:12]}")
        console.print(f"  reply {call.reply_hash[:12]}: {escape(told.replies[call.id] or 'not in the cache')}")
    if attempt.problem or attempt.excluded:
        console.print(f"  {escape(attempt.problem or f'excluded by {attempt.excluded}')}")
    if attempt.prompt:
        console.print(f"  prompt: {escape(attempt.prompt)}")
    for number, picture in enumerate(attempt.pictures, 1):
        console.print(
            f"  picture {number}: {escape(picture.description)} [{', '.join(picture.keywords)}]", markup=False
        )
        if picture.image:
            _image(picture.image)
        elif picture.problem:
            console.print(f"    no image: {picture.problem}", markup=False)
    for v in attempt.verdicts:
        score = "" if v.score is None else f" (score {v.score:g}, threshold {v.threshold:g})" if v.threshold else ""
        console.print(f"  {v.check} {v.version}: {v.outcome}{score}: {v.reason}", markup=False)


def _image(image: Image) -> None:
    console.print(f"    image {image.id[:12]} by {image.backend}, {image.width}x{image.height}")
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
