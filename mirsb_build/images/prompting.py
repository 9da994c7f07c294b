"""The prompt of a model that draws: keywords first, then what pictures of one candidate share, then the description.

A text encoder reads a limited number of tokens; what stands last is lost first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from mirsb_build.records import ImageSpec, content_hash

STYLES = (
    "A plain documentary photograph in daylight",
    "A clear colour photograph with soft indoor light",
    "A quiet photograph in natural light and muted colours",
    "A simple illustration with clean outlines and flat colours",
)
"""Ways to draw a picture; which one a picture gets follows from its spec."""

SHARED_KEYWORDS = 3
"""Keywords that name a shared scene, at most."""


def write_prompt(spec: ImageSpec, styles: Sequence[str] = STYLES) -> str:
    """Write the whole prompt of a picture; those of one candidate have the words of what they share in common."""
    parts = [", ".join(spec.keywords).capitalize(), style(spec, styles), scene(spec), spec.description]
    return " ".join(f"{part.rstrip('. ')}." for part in parts if part)


def style(spec: ImageSpec, styles: Sequence[str]) -> str:
    """One of the styles: the candidate's where the style is shared, the picture's own otherwise; none of no styles."""
    owner = spec.candidate if "style" in spec.shares else spec.id
    return styles[_number(owner, "style") % len(styles)] if styles else ""


def scene(spec: ImageSpec) -> str:
    """What places the picture in the scene that it shares with the others of its candidate; empty where it shares none.

    Named by the keywords that most of the pictures have, at least two of them; by the first picture's where there are
    none such.
    """
    if "scene" not in spec.shares or not spec.group_keywords:
        return ""
    counts = Counter(chain.from_iterable(dict.fromkeys(keywords) for keywords in spec.group_keywords))
    common = [keyword for keyword, count in counts.most_common() if count > 1] or list(spec.group_keywords[0])
    return f"Always the same scene with {', '.join(common[:SHARED_KEYWORDS])}"


def noise_seed(spec: ImageSpec, attempt: int = 0) -> int:
    """Seed of the initial noise (63 bits): of the spec alone, or of the candidate where the noise is shared.

    A picture that is made again gets the next attempt's.
    """
    owner = spec.candidate if "noise" in spec.shares else spec.id
    return _number(owner, "noise", attempt) % 2**63


def _number(*parts: object) -> int:
    return int(content_hash(*parts)[:16], 16)
