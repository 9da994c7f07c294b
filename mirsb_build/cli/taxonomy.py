"""`mirsb taxonomy check` and `mirsb doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from mirsb_build.cli import options

app = typer.Typer(help="Look after risk categories, relation types, policy and prompts.", no_args_is_help=True)


@app.callback()
def taxonomy() -> None:
    """Look after risk categories, relation types, policy and prompts."""


@app.command("check")
def check(profile: options.ProfileName = "offline", as_json: options.Json = False) -> None:
    """Load everything that a profile builds on, and say what is there or what is wrong, with file and line."""
    from mirsb_build.build.context import open_context
    from mirsb_build.cli import render
    from mirsb_build.records import BuildOrder

    opened = open_context(BuildOrder(build="check", profile=profile, store="memory://"))
    render.taxonomy(opened, as_json)


def doctor(
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="Look at what this profile needs too: a name, or a YAML file.")
    ] = None,
    store: options.StoreUrl = options.STORE,
    as_json: options.Json = False,
) -> None:
    """Say what is installed, reachable or missing, and how to get it."""
    from mirsb_build.build.doctor import examine
    from mirsb_build.cli import render

    render.health(examine(store, profile), as_json)
