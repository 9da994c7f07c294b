"""`mirsb review ...`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirsb_build.cli import options
from mirsb_build.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from mirsb_build.records import BuildOrder

REVIEW_COMPLETE = "mirsb.review.complete"
"""Event that is sent when no instance of a build awaits review: the trigger in prefect.yaml runs the build on."""

app = typer.Typer(help="Hand instances to reviewers and take their decisions back.", no_args_is_help=True)


@app.command("export")
def export(
    build: options.BuildName,
    to: Annotated[Path, typer.Option("--to", help="File to write; images go to a folder beside it.")],
    format: Annotated[str, typer.Option("--format", help="jsonl")] = "jsonl",
    store: options.StoreUrl = options.STORE,
) -> None:
    """Write what waits for review to a file that reviewers fill in."""
    from mirsb_build.cli import render as show
    from mirsb_build.records import ReviewItem
    from mirsb_build.review import EXPORTS, outcomes

    if format not in EXPORTS:
        raise UnknownName("format", format, EXPORTS)
    opened = options.reopened(build, store)
    items = list(opened.store.records(build, "review_export", 0, ReviewItem))
    if not items:
        raise UsageError(f"build {build}: nothing is ready for review yet; run `mirsb build {build}` first")
    found = outcomes(items, opened.decisions.read(), opened.profile.review.reviewers, opened.targets)
    waiting = [item for item in items if found[item.instance] == "awaiting"]
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
    from mirsb_build.cli import render as show
    from mirsb_build.history import History
    from mirsb_build.records import ReviewItem
    from mirsb_build.review import DecisionLog, match_decisions, outcomes, read_decisions
    from mirsb_build.store import Store, build_lock

    opened = Store(store)
    history = History(opened, build)  # an unknown build is named as such
    note = history.note
    decisions = read_decisions(file)
    items = list(opened.records(build, "review_export", 0, ReviewItem))
    match_decisions(decisions, {item.instance: item.checksum for item in items}, str(file))
    with build_lock(opened.files, build):
        log = DecisionLog(opened, build)
        added = log.append(decisions)
        found = outcomes(items, log.read(), note.profile.review.reviewers, history.targets)
    still_open = [instance for instance, outcome in found.items() if outcome == "awaiting"]
    told = f"{len(decisions)} decisions imported" if added else f"{file} was imported before; nothing changed"
    left = f"{len(still_open)} instances still await review" if still_open else "no instance awaits review"
    show.console.print(f"{told}; {left}; `mirsb build {build}` goes on from here")
    if not still_open:
        place = opened.files.root if opened.files.local else store
        tell_prefect(note.order.model_copy(update={"store": place}))


def tell_prefect(order: BuildOrder) -> None:
    """Send Prefect's server, where one is set, the event that goes on with the build; says so where it gets lost.

    Sent and confirmed here and now: `prefect.events.emit_event` sends in the background and keeps failures to itself.
    """
    from mirsb_build.cli.prefect_runtime import quiet_prefect

    quiet_prefect()
    import asyncio
    import logging

    from prefect.events import Event, Resource, get_events_client
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        return
    logging.getLogger("prefect").setLevel(logging.CRITICAL)  # its client prints what we say below in our own words
    resource = Resource({"prefect.resource.id": f"mirsb.build.{order.build}", "prefect.resource.name": order.build})
    event = Event(event=REVIEW_COMPLETE, resource=resource, payload=order.model_dump(mode="json"))

    async def send() -> None:
        async with asyncio.timeout(20), get_events_client(reconnection_attempts=0) as client:
            await client.emit(event)

    try:
        asyncio.run(send())
    except Exception as error:  # whatever the network does, the decisions are kept
        reason = " ".join(str(error).split()) or type(error).__name__
        print(
            f"mirsb: the decisions are kept, but Prefect at {url} could not be told ({reason}); import the file again "
            f"to try again, or run `mirsb build {order.build}`",
            file=sys.stderr,
        )
