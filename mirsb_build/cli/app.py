"""The command `mirsb`: its options that hold everywhere, its groups, and what becomes of errors."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from mirsb_build.cli import build, images, inspect, publish, review, taxonomy
from mirsb_build.errors import MirsbError
from mirsb_build.runtime.memory import limit_arenas

app = typer.Typer(
    name="mirsb",
    help="Make, review and publish multi-image safety benchmarks, and account for every word and pixel of them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(build.demo)
app.command()(build.build)
app.command()(build.plan)
app.add_typer(images.app, name="images")
app.command()(inspect.status)
app.command()(inspect.audit)
app.add_typer(review.app, name="review")
app.command()(publish.publish)
app.add_typer(taxonomy.app, name="taxonomy")
app.command()(taxonomy.doctor)

DEBUG = "MIRSB_DEBUG"


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and what Prefect says.")] = False,
) -> None:
    if debug:
        os.environ[DEBUG] = "1"


def main() -> None:
    """Run a command; an error of ours is one line on stderr and its exit code."""
    limit_arenas()
    try:
        app()
    except MirsbError as error:
        if os.environ.get(DEBUG):
            raise
        print(f"mirsb: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone; nothing is lost
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        print(
            f"mirsb: unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]}; "
            "run it with `mirsb --debug ...` and report what that shows",
            file=sys.stderr,
        )
        sys.exit(1)
