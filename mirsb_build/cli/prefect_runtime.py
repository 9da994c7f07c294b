"""What the command line does with Prefect: run the flow on a server, and tell it that a review is complete."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from mirsb_build.errors import MirsbError, UsageError

if TYPE_CHECKING:
    from mirsb_build.records import BuildOrder

REVIEW_COMPLETE = "mirsb.review.complete"
"""Event that is sent when no instance of a build awaits review: the trigger in prefect.yaml runs the build on."""


def quiet_prefect() -> None:
    """Make settings of Prefect for a run in this process, before it is imported; what the user has set stays."""
    quiet = "WARNING" if os.environ.get("MIRSB_DEBUG") else "CRITICAL"
    for name, value in {
        "PREFECT_LOGGING_LEVEL": quiet,
        "PREFECT_SERVER_LOGGING_LEVEL": quiet,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }.items():
        os.environ.setdefault(name, value)


def run_flow(order: BuildOrder) -> None:
    """Run the flow `build-mirsb` on Prefect's server to its end; raises what stopped it.

    Raises UsageError where Prefect is not installed, or no server is set or answers.
    """
    quiet_prefect()
    url = _server()
    from mirsb_build.flow import build_mirsb

    settings = list(order.settings)
    try:
        state = build_mirsb(order.build, order.profile, order.store, settings, order.retry_dead, return_state=True)
        if not state.is_completed():
            state.result(raise_on_failure=True)
            raise MirsbError(f"build {order.build}: the flow ended as {state.name}: {state.message}")
    except MirsbError:
        raise
    except _connection_errors() as error:
        raise MirsbError(
            f"Prefect at {url} does not answer any more ({_in_a_line(error)}); the same command goes on from here"
        ) from error


def _server() -> str:
    """The address of Prefect's server; raises UsageError where there is none."""
    try:
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_API_URL
    except ImportError as error:
        raise UsageError(
            "--prefect, or PREFECT_API_URL, needs Prefect; pip install 'mirsb-build[prefect]', or go without"
        ) from error
    url = PREFECT_API_URL.value()
    if not url:
        raise UsageError(
            "--prefect needs a server: start one with `prefect server start`, and set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    try:
        with get_client(sync_client=True) as client:
            failure = client.api_healthcheck()
    except Exception as error:  # an address that is none, for example
        failure = error
    if failure is not None:
        raise UsageError(
            f"Prefect at {url} does not answer ({_in_a_line(failure)}); start it with `prefect server start`, or unset "
            "PREFECT_API_URL to build without it"
        )
    return url


def _connection_errors() -> tuple[type[Exception], ...]:
    import httpx
    from prefect.exceptions import PrefectException

    return httpx.HTTPError, PrefectException


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def send_review_complete(order: BuildOrder) -> None:
    """Send Prefect's server, where one is set, the event that goes on with the build; say so where it gets lost.

    Sent and confirmed here and now: `prefect.events.emit_event` sends in the background and keeps failures to itself.
    """
    quiet_prefect()
    import asyncio
    import logging

    try:
        from prefect.events import Event, Resource, get_events_client
        from prefect.settings import PREFECT_API_URL
    except ImportError:
        return  # nobody is to be told
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
        print(
            f"mirsb: the decisions are kept, but Prefect at {url} could not be told ({_in_a_line(error)}); import the "
            f"file again to try again, or run `mirsb build {order.build}`",
            file=sys.stderr,
        )
