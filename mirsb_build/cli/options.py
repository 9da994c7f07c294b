"""Options that several commands share, and the settings they stand for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mirsb_build.defaults import DEFAULT_STORE

if TYPE_CHECKING:
    from mirsb_build.records import BuildOrder

BuildName = Annotated[str, typer.Argument(help="Name of the build.", show_default=False)]
StoreUrl = Annotated[str, typer.Option("--store", help="Folder or fsspec URL where builds live.", envvar="MIRSB_STORE")]
ProfileName = Annotated[str, typer.Option("--profile", "-p", help="Name of a profile, or a YAML file.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Change a value of the profile: limits.max_iterations=2.")
]
PerCategory = Annotated[int | None, typer.Option("--seeds-per-category", min=1, help="Seed queries a risk category.")]
Categories = Annotated[
    list[str] | None, typer.Option("--category", help="Only this risk category; may be given again.")
]
Relations = Annotated[list[str] | None, typer.Option("--relation", help="Only this relation type; may be given again.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many candidates, spread over the cells.")]
Target = Annotated[
    int | None,
    typer.Option(
        "--target-per-cell",
        min=1,
        help="Try new candidates until so many have passed in every cell, or it can get no more.",
    ),
]
MaxCost = Annotated[float | None, typer.Option("--max-cost", help="Stop before the build costs more than this.")]
MaxCalls = Annotated[int | None, typer.Option("--max-calls", help="Stop before the build makes more model calls.")]
RetryDead = Annotated[
    bool, typer.Option("--retry-dead", help="Ask again for candidates whose replies stayed unusable.")
]
Prefect = Annotated[bool, typer.Option("--prefect", help="Run it as a flow that Prefect's server shows.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

STORE = DEFAULT_STORE


def settings_of(
    settings: list[str] | None,
    per_category: int | None,
    categories: list[str] | None,
    relations: list[str] | None,
    limit: int | None,
    target: int | None,
    max_cost: float | None,
    max_calls: int | None,
) -> tuple[str, ...]:
    """The short options written as settings, after those given with --set."""
    short = {
        "seeds.per_category": per_category,
        "seeds.categories": categories or None,
        "relation_types": relations or None,
        "limits.candidates": limit,
        "targets.per_cell": target,
        "limits.cost": max_cost,
        "limits.calls": max_calls,
    }
    return (*(settings or ()), *(f"{key}={json.dumps(value)}" for key, value in short.items() if value is not None))


def order_of(build: str, profile: str, store: str, settings: tuple[str, ...]) -> BuildOrder:
    """What a command's options ask for."""
    from mirsb_build.records import BuildOrder

    if profile.endswith((".yaml", ".yml")) or "/" in profile:  # named so that other commands find it from anywhere
        profile = str(Path(profile).resolve())
    return BuildOrder(build=build, profile=profile, store=store, settings=settings)
