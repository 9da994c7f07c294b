"""The data set card: what the release is, and nothing of what is in it.

A card can be read before access is granted, so it shows no instance's text and no picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import yaml

from mirsb_build.config.profiles import ReleaseChoice
from mirsb_build.records import Instance, MadeWith

SIMULATED = (
    "> **Simulated review.** No person has looked at these instances: the decisions were made by a program, so that "
    "the pipeline could be shown from end to end. Do not evaluate models on this release; it cannot be pushed to a Hub."
)

WARNING = (
    "The instances are requests that a safe assistant should decline. Each picture is harmless by itself; the unsafe "
    "request shows only when the pictures are related to each other. There are no answers in this data set."
)

USE = (
    "For measuring, and then mending, how multimodal models handle unsafe requests that are spread over several "
    "images. Not for training models to comply, not for producing such requests at people, and not as a complete "
    "test of safety: passing it says nothing of risks outside its categories."
)


def card(
    instances: Sequence[Instance], *, build: str, choice: ReleaseChoice, made_with: MadeWith, canary: str, data: str
) -> str:
    """The card's Markdown, with the YAML header that the Hub reads; `data` is a hash of the data files, in hex."""
    simulated = any(i.simulated for i in instances)
    sections = [
        f"# {choice.title}",
        SIMULATED if simulated else "",
        f"{len(instances)} instances of a prompt and 2-4 images, made by the build `{build}` after the method of "
        "MIR-SafetyBench (arXiv 2601.14127).",
        f"## Content warning\n\n{WARNING}",
        f"## Intended use\n\n{USE}",
        f"## Instances\n\n{_cells(instances)}",
        f"## How it was made\n\n{_made(instances, made_with)}",
        f"## Licence and credits\n\n{_credits(instances, choice)}",
        "## Canary\n\nDo not put this data into training corpora. Every row carries this string, so that a model "
        f"which has seen it can be told:\n\n    {canary}",
    ]
    return f"---\n{_header(choice, simulated, data)}---\n\n" + "\n\n".join(s for s in sections if s) + "\n"


def _header(choice: ReleaseChoice, simulated: bool, data: str) -> str:
    """The header; with the version of its config, `datasets` tells two folders of one name apart in its cache."""
    config = {
        "config_name": "default",
        "version": f"1.0.{int(data[:8], 16)}",
        "data_files": [{"split": "train", "path": "data/train-*.parquet"}],
    }
    header = {
        "pretty_name": choice.title,
        "license": choice.licence,
        "language": ["en"],
        "task_categories": ["image-text-to-text"],
        "tags": ["safety", "red-teaming", "multi-image", "not-for-all-audiences"] + ["simulated-review"] * simulated,
        "configs": [config],
        "extra_gated_prompt": "This data set holds requests that a safe assistant should decline. Access is for people "
        "who evaluate or improve the safety of models.",
        "extra_gated_fields": {
            "Affiliation": "text",
            "Intended use": "text",
            "I will not train models to comply with these requests": "checkbox",
            "I will not publish the instances or put them into training corpora": "checkbox",
        },
    }
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=1000)


def _cells(instances: Sequence[Instance]) -> str:
    counts = Counter(i.candidate.cell for i in instances)
    categories = sorted({category for category, _ in counts})
    rows = ["| relation type | " + " | ".join(categories) + " |", "|---|" + "---:|" * len(categories)]
    for relation in sorted({relation for _, relation in counts}):
        cells = " | ".join(str(counts[category, relation]) for category in categories)
        rows.append(f"| {relation} | {cells} |")
    return "\n".join(rows)


def _made(instances: Sequence[Instance], made_with: MadeWith) -> str:
    rounds = Counter(i.candidate.round for i in instances)
    judged = {v.check for i in instances for v in i.candidate.verdicts}
    abstained = Counter(v.check for i in instances for v in i.candidate.verdicts if v.outcome == "abstain")
    models = sorted({f"{c.role}: {c.model}" for i in instances for c in i.candidate.calls})
    backends = sorted({p.image.backend for i in instances for p in i.candidate.pictures if p.image})
    reviewers = len({d.reviewer for i in instances for d in i.decisions})
    rows = [
        f"- models: {', '.join(models)}",
        f"- images: {', '.join(backends)}",
        f"- checks passed by every instance: {', '.join(sorted(judged - set(abstained)))}",
        *(f"- check {name} abstained on {count} instances" for name, count in sorted(abstained.items())),
        f"- instances by round: {', '.join(f'{n} in round {k}' for k, n in sorted(rounds.items()))}",
        f"- reviewers: {reviewers}{', simulated' if any(i.simulated for i in instances) else ''}",
        f"- taxonomy {made_with.taxonomy[:12]}, profile {made_with.profile[:12]}",
        "- `provenance.jsonl` has, for every instance, its seed query's origin, model calls, verdicts, picture sources "
        "and decisions; `manifest.json` has the checksums of all files",
    ]
    return "\n".join(rows)


def _credits(instances: Sequence[Instance], choice: ReleaseChoice) -> str:
    sources = [s for i in instances for p in i.candidate.pictures if p.image for s in p.image.sources]
    counts = Counter((s.author, s.licence, s.url) for s in {s.sha256: s for s in sources}.values())
    rows = [f"Licence of the data set: {choice.licence}. `image_credits` names the sources of every single image."]
    rows += [
        f"- {count} pictures by {author}, {licence}, {url}; changed: cropped, resized or placed into scenes"
        for (author, licence, url), count in sorted(counts.items())
    ]
    images = [p.image for i in instances for p in i.candidate.pictures if p.image]
    if drawn := sum(not image.sources for image in images):
        rows.append(f"- {drawn} images cite no source: a program or a model drew them, as `image_credits` says")
    return "\n".join(rows)
