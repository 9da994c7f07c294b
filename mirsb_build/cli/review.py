"""`mirsb review ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirsb_build.cli import options

app = typer.Typer(help="Hand instances to reviewers and take their decisions back.", no_args_is_help=True)


@app.command("export")
def export(
    build: options.BuildName,
    to: Annotated[Path, typer.Option("--to", help="File to write; images go to a folder beside it.")],
    format: Annotated[str, typer.Option("--format", help="jsonl")] = "jsonl",
    store: options.StoreUrl = options.STORE,
) -> None:
    """Write what waits for review to a file that reviewers fill in."""
    from mirsb_build.cli import render
    from mirsb_build.review import ReviewService
    from mirsb_build.store import Store

    count = ReviewService(Store(store), build).export(format, to)
    render.console.print(
        f"{count} instances written to {to}; fill in 'reviewer' and 'decision' (accept, reject or revise), then "
        f"`mirsb review import {build} {to}`",
        markup=False,
    )


@app.command("import")
def import_(
    build: options.BuildName,
    file: Annotated[Path, typer.Argument(help="The exported file with decisions filled in.")],
    store: options.StoreUrl = options.STORE,
) -> None:
    """Take in reviewers' decisions; all of a file or nothing of it."""
    from mirsb_build.cli import render
    from mirsb_build.cli.prefect_runtime import send_review_complete
    from mirsb_build.review import ReviewService
    from mirsb_build.store import Store

    service = ReviewService(Store(store), build)
    imported = service.import_file(file)
    summary = f"{imported.decisions} decisions imported" if imported.added else f"{file} was imported before"
    unchanged = "" if imported.added else "; nothing changed"
    left = f"{imported.awaiting} instances still await review" if imported.awaiting else "no instance awaits review"
    render.console.print(f"{summary}{unchanged}; {left}; `mirsb build {build}` goes on from here", markup=False)
    if not imported.awaiting:
        send_review_complete(service.order)
