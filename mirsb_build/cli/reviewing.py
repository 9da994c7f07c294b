"""`mirsb review ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirsb_build.cli import options
from mirsb_build.errors import UnknownName, UsageError

app = typer.Typer(help="Hand instances to reviewers and take their decisions back.", no_args_is_help=True)


@app.command("export")
def export(
    build: options.BuildName,
    to: Annotated[Path, typer.Option("--to", help="File to write; images go to a folder beside it.")],
    format: Annotated[str, typer.Option("--format", help="jsonl")] = "jsonl",
    store: options.StoreUrl = options.STORE,
) -> None:
    """Write what waits for review to a file that reviewers fill in."""
    from mirsb_build.cli import show
    from mirsb_build.records import ReviewItem
    from mirsb_build.review import EXPORTS
    from mirsb_build.views import History

    if format not in EXPORTS:
        raise UnknownName("format", format, EXPORTS)
    opened = options.reopened(build, store)
    history = History(opened.store, build)
    items = list(opened.store.records(build, "review_export", 0, ReviewItem))
    if not items:
        raise UsageError(f"build {build}: nothing is ready for review yet; run `mirsb build {build}` first")
    decided = {id for id, instance in history.instances.items() if instance.outcome != "awaiting"}
    waiting = [item for item in items if item.instance not in decided]
    EXPORTS[format](waiting, to, opened.images.read)
    show.console.print(
        f"{len(waiting)} instances written to {to}; fill in 'reviewer' and 'decision' (accept, reject or revise), then "
        f"`mirsb review import {build} {to}`"
    )


@app.command("import")
def import_(
    build: options.BuildName,
    file: Annotated[Path, typer.Argument(help="The exported file with decisions filled in.")],
    store: options.StoreUrl = options.STORE,
) -> None:
    """Take in reviewers' decisions; all of a file or nothing of it."""
    from mirsb_build.cli import show
    from mirsb_build.records import ReviewItem
    from mirsb_build.review import DecisionLog, match_decisions, read_decisions
    from mirsb_build.store import Store, build_lock
    from mirsb_build.views import History

    opened = Store(store)
    History(opened, build)  # an unknown build is named as such
    decisions = read_decisions(file)
    revisions = {item.instance: item.checksum for item in opened.records(build, "review_export", 0, ReviewItem)}
    match_decisions(decisions, revisions, str(file))
    with build_lock(opened.files, build):
        added = DecisionLog(opened, build).append(decisions)
    told = f"{len(decisions)} decisions imported" if added else f"{file} was imported before; nothing changed"
    show.console.print(f"{told}; `mirsb build {build}` goes on from here")
