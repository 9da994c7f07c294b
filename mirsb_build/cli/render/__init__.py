"""What commands print: tables and bars on a terminal, plain lines in a pipe, JSON for programs."""

from mirsb_build.cli.render.base import console, json_list, json_of, json_value, progress
from mirsb_build.cli.render.builds import health, next_steps, outcome, plan, preview, taxonomy
from mirsb_build.cli.render.funnel import builds, check, shortages, status
from mirsb_build.cli.render.story import stories, story, verification

__all__ = [
    "builds",
    "check",
    "console",
    "health",
    "json_list",
    "json_of",
    "json_value",
    "next_steps",
    "outcome",
    "plan",
    "preview",
    "progress",
    "shortages",
    "status",
    "stories",
    "story",
    "taxonomy",
    "verification",
]
