"""`mirsb publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mirsb_build.cli import options
from mirsb_build.errors import UsageError


def publish(
    build: options.BuildName,
    to: Annotated[Path | None, typer.Option("--to", help="New folder to copy the release to.")] = None,
    repo: Annotated[str | None, typer.Option("--repo", help="Hub data set to push to, ORG/NAME.")] = None,
    version: Annotated[str | None, typer.Option("--version", help="Which release; the newest by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what a push would do, and do nothing.")] = False,
    public: Annotated[bool, typer.Option("--public", help="Make the Hub repository public (it stays gated).")] = False,
    ungated: Annotated[
        bool, typer.Option("--ungated", help="With --public: let anyone download without asking.")
    ] = False,
    store: options.StoreUrl = options.STORE,
    as_json: options.Json = False,
) -> None:
    """Copy a release to a folder, or push it to a Hub as a private, gated data set."""
    from mirsb_build.cli import render
    from mirsb_build.history import History
    from mirsb_build.releases import release_of
    from mirsb_build.store import Store

    if (to is None) == (repo is None):
        raise UsageError("give either --to FOLDER or --repo ORG/NAME")
    if ungated and not public:
        raise UsageError("--ungated goes with --public: say both if anyone may download the release without asking")
    opened = Store(store)
    History(opened, build)  # an unknown build is named as such
    release = release_of(opened, build, version or "")
    manifest = release.manifest
    if to is not None:
        release.copy(to)
        render.json_of(manifest) if as_json else render.console.print(
            f"release {manifest.version}: {manifest.instances} instances in {to}", markup=False
        )
        return
    import os
    from tempfile import TemporaryDirectory

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the client is imported
    from mirsb_build.release.hub import push

    assert repo is not None
    with TemporaryDirectory(prefix="mirsb-push-") as name:
        folder = Path(name) / "release"
        release.copy(folder)
        pushed = push(
            folder,
            repo,
            public=public,
            gated=False if ungated else "manual",
            dry_run=dry_run,
        )
    render.json_of(pushed) if as_json else render.console.print(pushed.note, markup=False)
