"""`report.html` of a build: one file that shows the funnel, the yields, the checks, the pictures and what it all took.

The page needs nothing beside itself: styles and drawings are inline, pictures are small copies of the blobs. The same
store content gives the same bytes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from more_itertools import interleave_longest
from PIL import Image as PillowImage

from mirsb_build.errors import Damaged
from mirsb_build.history import History, State
from mirsb_build.records import Candidate, Decision, Image, ImageSource, MadeWith, Outcome, Record
from mirsb_build.similarity.thumbnails import MEDIA_TYPE, read_thumbnail
from mirsb_build.store import Store
from mirsb_build.views.charts import (
    Bar,
    FailureGrid,
    YieldGrid,
    by_family,
    check_bars,
    failure_grids,
    funnel_bars,
    yield_grid,
)
from mirsb_build.views.funnel import Funnel, funnel
from mirsb_build.views.histograms import Histogram, histograms

SHOWN = 120
"""Instances on the contact sheet: about 350 thumbnails, 3 to 6 MB."""
FAILURES_SHOWN = 8
REASONS_SHOWN = 8
READERS = 8

Thumbnails = dict[str, str]
"""Image id -> data URI; an image that cannot be shown is missing."""


class Card(Record):
    """One candidate as it is shown: its last record and what became of it."""

    candidate: Candidate
    state: State
    outcome: Outcome | None = None
    decisions: tuple[Decision, ...] = ()

    @property
    def sources(self) -> tuple[ImageSource, ...]:
        """What its images were made from, each once."""
        return tuple(dict.fromkeys(s for p in self.candidate.pictures if p.image for s in p.image.sources))

    @property
    def simulated(self) -> bool:
        return any(d.simulated for d in self.decisions)


class Sheet(Record):
    """The cards of one relation type, out of so many instances."""

    relation_type: str
    family: str
    cards: tuple[Card, ...]
    instances: int


class Reason(Record):
    """Why a check failed candidates: how often, and the wording that was most frequent."""

    check: str
    count: int
    example: str


class Page(Record):
    """Everything that the template shows."""

    funnel: Funnel
    bars: tuple[Bar, ...]
    grid: YieldGrid
    checks: dict[str, tuple[Bar, ...]]
    failures: tuple[FailureGrid, ...]
    histograms: tuple[Histogram, ...]
    reasons: tuple[Reason, ...]
    sheets: tuple[Sheet, ...]
    not_passed: tuple[Card, ...]
    story: tuple[Candidate, ...]
    """One candidate that failed and passed later, round by round."""
    made_with: MadeWith
    models: dict[str, str]
    settings: tuple[str, ...]
    image_backend: str
    exclusions: dict[str, str]
    """Rule -> why it is there."""


def write_report(history: History) -> None:
    """Write `builds/<build>/report.html`."""
    page = page_of(history)
    text = render(page, thumbnails(history.store, _images(page)))
    history.store.files.write(f"builds/{history.build}/report.html", text.encode())


def page_of(history: History) -> Page:
    """What the report of a build says."""
    counts = funnel(history)
    families = by_family(history.families)
    last = {id: attempts[-1] for id, attempts in history.attempts.items()}
    cards = [_card(history, last[id]) for id in history.candidates if id in last]
    profile = history.note.profile
    return Page(
        funnel=counts,
        bars=funnel_bars(counts),
        grid=yield_grid(counts.cells, families),
        checks=check_bars(counts.checks),
        failures=failure_grids(counts.failures, counts.cells, families),
        histograms=histograms([a for attempts in history.attempts.values() for a in attempts]),
        reasons=_reasons(history),
        sheets=_sheets(cards, families),
        not_passed=_not_passed(cards),
        story=_story(history),
        made_with=history.note.made_with,
        models={role: f"{choice.backend}/{choice.model}" for role, choice in sorted(profile.models.items())},
        settings=history.note.order.settings,
        image_backend=profile.images.backend,
        exclusions={e.rule: e.explanation for e in history.exclusions()},
    )


def render(page: Page, thumbnails: Thumbnails) -> str:
    """The page as HTML; every text in it comes from models or files, so all of it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    environment.filters["amount"] = amount
    environment.tests["web_address"] = is_web_address
    template = environment.get_template("report.html.j2")
    return template.render(page=page, thumbnails=thumbnails)


def plain(name: str) -> str:
    """A name as people read it."""
    return name.replace("_", " ")


def amount(number: int) -> str:
    """A number with its thousands set apart."""
    return f"{number:,}"


def is_web_address(value: str) -> bool:
    """Whether a credit may link there: other schemes could run something."""
    return value.startswith(("https://", "http://"))


# Pictures.


def thumbnails(store: Store, images: Iterable[Image]) -> Thumbnails:
    """The small copy that was made with each image; what is damaged or lost with its image is left out."""
    wanted = {image.id: image for image in images}

    def small(image: Image) -> str | None:
        try:
            return _data_uri(read_thumbnail(store, image))
        except (Damaged, OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError):
            return None

    with ThreadPoolExecutor(READERS) as readers:
        made = zip(wanted, readers.map(small, wanted.values()), strict=True)
        return {id: uri for id, uri in made if uri}


def _data_uri(data: bytes) -> str:
    return f"data:{MEDIA_TYPE};base64,{b64encode(data).decode()}"


def _images(page: Page) -> list[Image]:
    """Those on the page."""
    shown = [card.candidate for sheet in page.sheets for card in sheet.cards]
    shown += [card.candidate for card in page.not_passed]
    return [p.image for candidate in (*shown, *page.story) for p in candidate.pictures if p.image]


# Which candidates are shown.


def _card(history: History, candidate: Candidate) -> Card:
    instance = history.instances.get(candidate.id)
    state = history.state(candidate)
    return Card(
        candidate=candidate,
        state=state,
        outcome=instance.outcome if instance else "awaiting" if state == "passed" else None,
        decisions=instance.decisions if instance else (),
    )


def _sheets(cards: Sequence[Card], families: dict[str, list[str]]) -> tuple[Sheet, ...]:
    passed = [card for card in cards if card.state == "passed"]
    shown = {c.candidate.id for c in _in_turn(passed, [c.candidate.cell for c in passed])[:SHOWN]}
    sheets: list[Sheet] = []
    for family, relation in ((f, r) for f, relations in families.items() for r in relations):
        here = [card for card in passed if card.candidate.relation_type == relation]
        chosen = tuple(card for card in here if card.candidate.id in shown)
        if chosen:
            sheets.append(Sheet(relation_type=relation, family=family, cards=chosen, instances=len(here)))
    return tuple(sheets)


def _not_passed(cards: Sequence[Card]) -> tuple[Card, ...]:
    """Some of those that failed, died, or are open after a failed round, for every check that stopped one."""
    stopped = [c for c in cards if c.state in ("failed", "dead") or (c.state == "open" and c.candidate.failures)]
    by = [c.candidate.failures[0].check if c.candidate.failures else "dead" for c in stopped]
    return tuple(_in_turn(stopped, by)[:FAILURES_SHOWN])


def _in_turn(cards: Sequence[Card], groups: Sequence[object]) -> list[Card]:
    """All cards, one of each group after the other, so that the first ones are spread."""
    members: dict[object, list[Card]] = {}
    for card, group in zip(cards, groups, strict=True):
        members.setdefault(group, []).append(card)
    return list(interleave_longest(*members.values()))


def _story(history: History) -> tuple[Candidate, ...]:
    """The rounds of the candidate that took the most of them, of checks that failed it, and of pictures, to pass."""
    mended = [
        a for id, a in history.attempts.items() if len(a) > 1 and history.state(history.candidates[id]) == "passed"
    ]

    def eventful(attempts: list[Candidate]) -> tuple[int, int, int]:
        checks = {v.check for attempt in attempts for v in attempt.failures}
        images = {p.image.id for attempt in attempts for p in attempt.pictures if p.image}
        return len(attempts), len(checks), len(images)

    return tuple(max(mended, key=eventful)) if mended else ()


# What stood in the way, and what it took.


def _reasons(history: History) -> tuple[Reason, ...]:
    """The most frequent failures; wordings that differ in numbers or in what follows a colon count as one."""
    wordings: dict[tuple[str, str], Counter[str]] = {}
    for verdict in (v for attempts in history.attempts.values() for a in attempts for v in a.failures):
        kind = re.sub(r"\d+", "#", verdict.reason.partition(": ")[0])
        wordings.setdefault((verdict.check, kind), Counter())[verdict.reason] += 1
    reasons = [
        Reason(check=check, count=found.total(), example=found.most_common(1)[0][0])
        for (check, _), found in wordings.items()
    ]
    return tuple(sorted(reasons, key=lambda reason: -reason.count)[:REASONS_SHOWN])
