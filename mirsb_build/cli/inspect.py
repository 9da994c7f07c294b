"""`mirsb status` and `mirsb audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from mirsb_build.cli import options
from mirsb_build.errors import MirsbError, UnknownName, UsageError


def status(
    build: Annotated[str | None, typer.Argument(help="Name of the build; all of them without.")] = None,
    check: Annotated[str | None, typer.Option("--check", help="Where this check failed candidates, by cell.")] = None,
    store: options.StoreUrl = options.STORE,
    as_json: options.Json = False,
) -> None:
    """Show the funnel of a build, per round, check and cell; or a line for every build."""
    from mirsb_build.cli import render
    from mirsb_build.store import Store
    from mirsb_build.views import read_funnel

    opened = Store(store)
    if build is not None:
        result = read_funnel(opened, build)
        names = dict.fromkeys(count.check for count in result.checks)
        if check is not None and check not in names:
            raise UnknownName("check", check, names, where=f"build {build}")
        if as_json:
            render.json_of(result)
        else:
            render.status(result) if check is None else render.check(result, check)
        return
    if check is not None:
        raise UsageError("--check wants the name of a build too")
    results = [read_funnel(opened, name) for name in opened.builds()]
    render.json_list(results) if as_json else render.builds(results, store)


def audit(
    build: options.BuildName,
    instance: Annotated[str | None, typer.Argument(help="Id of an instance, or how it begins.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Recompute the hashes.")] = False,
    format: Annotated[str, typer.Option("--format", help="text, json or prov (W3C PROV-JSON).")] = "text",
    store: options.StoreUrl = options.STORE,
) -> None:
    """Tell an instance's story: where each word and pixel came from; with --verify, whether every hash holds.

    Without an instance, list those there are.
    """
    from mirsb_build import views
    from mirsb_build.cli import render
    from mirsb_build.history import History
    from mirsb_build.store import Store

    if format not in ("text", "json", "prov"):
        raise UnknownName("format", format, ("text", "json", "prov"))
    history = History(Store(store), build)
    candidate = views.find(history, instance) if instance else None
    if verify:
        result = views.verify(history, candidate)
        render.json_of(result) if format == "json" else render.verification(result)
        if result.findings:
            raise MirsbError(
                f"build {build}: {len(result.findings)} of {result.hashes} hashes do not hold; "
                f"delete the files that are named, and `mirsb build {build}` makes again what it can"
            )
    elif candidate is None:
        listed = views.list_stories(history)
        render.json_list(listed) if format == "json" else render.stories(listed, build)
    elif format == "prov":
        render.json_value(views.prov(views.story(history, candidate)))
    else:
        told = views.story(history, candidate)
        render.json_of(told) if format == "json" else render.story(told)
