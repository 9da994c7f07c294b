"""`mirsb images ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirsb_build.cli import options

app = typer.Typer(help="Look at pictures before a build pays for all of them.", no_args_is_help=True)


@app.callback()
def images() -> None:
    """Look at pictures before a build pays for all of them."""


@app.command("preview")
def preview(
    build: options.BuildName,
    relation: Annotated[str, typer.Option("--relation", help="Relation type to draw.", show_default=False)],
    count: Annotated[int, typer.Option("-n", min=1, max=400, help="How many pictures.")] = 12,
    profile: options.ProfileName = "offline",
    settings: options.Settings = None,
    seeds_per_category: options.PerCategory = None,
    category: options.Categories = None,
    limit: options.Limit = None,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    store: options.StoreUrl = options.STORE,
    to: Annotated[Path | None, typer.Option("--to", help="File to write; else one in the store.")] = None,
    as_json: options.Json = False,
) -> None:
    """Draw a few pictures of a relation type on a contact sheet; the build finds them in the cache."""
    from mirsb_build.build.context import open_context
    from mirsb_build.build.preview import preview as preview_of
    from mirsb_build.cli import render

    changed = options.settings_of(settings, seeds_per_category, category, None, limit, None, max_cost, max_calls)
    result = preview_of(open_context(options.order_of(build, profile, store, changed)), relation, count, to)
    render.json_of(result) if as_json else render.preview(result)
