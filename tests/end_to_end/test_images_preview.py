"""`mirsb images preview`: a sheet before the money is spent, and nothing on it is paid for twice."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image as PillowImage

from mirsb_build.build.context import Context, open_context
from mirsb_build.build.preview import DRAFTED, SKETCHED, Preview, preview
from mirsb_build.errors import BudgetReached, BuildLocked, UnknownName
from mirsb_build.history import History
from mirsb_build.llm.openai import endpoint as endpoint_module
from mirsb_build.store import build_lock
from mirsb_build.views import verify
from tests.end_to_end.program import Program, all_of, error_line, small
from tests.factories import at_work, begun, order, run
from tests.openai_server import KEY, Server, serve

ROUTE = "/v1/images/generations"


class Drawn:
    """A build whose pictures an API draws."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        model: dict[str, Any] = {"backend": "openai", "model": "brush-1", "base_url": server.url, "deadline": 3.0}
        model |= {"sampling": {"size": "128x128"}, "prices": {"prompt": 0, "completion": 0, "image": 0.04}}
        profile = {"extends": "offline", "models": {"illustrator": model}, "images": {"backend": "api"}}
        (folder / "drawn.yaml").write_text(yaml.safe_dump(profile))

    def open(self, *settings: str) -> Context:
        few = ("limits.max_iterations=1", "relation_types=[Causality, Analogy]", "seeds.per_category=2")
        asked = order(self.folder / "store", *few, *settings, build="drawn", profile=self.folder / "drawn.yaml")
        return open_context(asked)

    def preview(self, count: int = 4, relation: str = "Causality", *settings: str) -> Preview:
        return preview(self.open(*settings), relation, count)


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drawn]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(endpoint_module, "BACKOFF", 0.01)
    with serve() as server:
        yield Drawn(server, tmp_path)


def size_of(page: bytes) -> tuple[int, int]:
    return PillowImage.open(io.BytesIO(page)).size


# What is drawn


def test_before_a_build_the_words_are_the_sketches_and_no_text_model_is_asked(drawn: Drawn) -> None:
    told = drawn.preview(5)
    assert told.words == SKETCHED
    assert len(told.pictures) == told.made == drawn.server.counts().calls == 5
    assert told.cost == pytest.approx(0.2)
    assert all(picture.image and picture.seconds > 0 for picture in told.pictures)
    assert len({picture.risk_category for picture in told.pictures}) == 2
    store = drawn.open().store
    page = store.files.read("builds/drawn/preview/Causality.png")
    assert page is not None
    assert size_of(page)[0] > 500
    assert store.builds() == [], "a preview is no build"


def test_a_preview_is_paid_once_and_the_build_pays_for_none_of_it_again(drawn: Drawn) -> None:
    first = drawn.preview(4)
    again = drawn.preview(4)
    assert (again.made, again.pictures) == (0, first.pictures)
    build = drawn.open()
    run(build)
    history = History(build.store, "drawn")
    calls = [call for call in history.calls() if call.role == "illustrator"]
    assert drawn.server.counts().calls == len(calls)
    used = {p.image.id for group in history.attempts.values() for a in group for p in a.pictures if p.image}
    assert {picture.image for picture in first.pictures} <= used
    assert verify(history).findings == ()


def test_once_there_are_drafts_those_are_drawn(drawn: Drawn) -> None:
    build = drawn.open()
    with at_work(build) as each:
        seeds = each(build.seeds, build.growth().orders())
        drafts = each(build.decompose, begun(build, seeds), 1)
    told = drawn.preview(400)
    assert told.words == DRAFTED
    wanted = [(d.id, p.description) for d in drafts if d.relation_type == "Causality" for p in d.pictures]
    assert sorted((p.candidate, p.description) for p in told.pictures) == sorted(wanted)
    assert drawn.preview(3).made == 0


def test_a_picture_that_would_not_be_drawn_is_on_the_sheet_with_the_reason(drawn: Drawn) -> None:
    drawn.server.fault("moderation", route=ROUTE, count=1)
    told = drawn.preview(3)
    (without,) = [picture for picture in told.pictures if picture.problem]
    assert without.image is None
    assert "rejected by the safety system" in without.problem
    assert told.made == 2


def test_a_budget_holds_for_a_preview_too_and_what_was_drawn_is_kept(drawn: Drawn) -> None:
    with pytest.raises(BudgetReached, match="the budget of 3 calls is reached"):
        drawn.preview(6, "Causality", "limits.calls=3")
    assert drawn.server.counts().calls == 3
    assert drawn.preview(6).made == 3


def test_while_the_build_runs_there_is_no_preview_and_nothing_is_touched(drawn: Drawn) -> None:
    store = drawn.open().store
    with build_lock(store.files, "drawn"), pytest.raises(BuildLocked, match="another process is working on it"):
        drawn.preview()
    assert drawn.server.counts().calls == 0


def test_an_unknown_relation_type_is_named_with_the_nearest(drawn: Drawn) -> None:
    with pytest.raises(UnknownName, match="unknown relation type 'Causalty'; did you mean 'Causality'"):
        drawn.preview(4, "Causalty")


# As users meet it


@pytest.mark.slow
def test_the_command_tells_where_the_sheet_is_and_programs_what_is_on_it(program: Program, tmp_path: Path) -> None:
    asked = [
        "images",
        "preview",
        "look",
        "--relation",
        "Analogy",
        "-n",
        "4",
        "--store",
        str(tmp_path / "store"),
        *small(),
    ]
    done = program(*asked)
    assert done.returncode == 0, all_of(done)
    assert "Analogy: 4 of 4 pictures by openmoji-" in done.stdout
    assert "the relation type's sketches" in done.stdout
    assert f"sheet        {tmp_path}/store/builds/look/preview/Analogy.png" in done.stdout
    told = json.loads(program(*asked, "--json", "--to", tmp_path / "here" / "sheet.png").stdout)
    assert told["path"] == str(tmp_path / "here" / "sheet.png")
    assert told["made"] == 0
    assert {"candidate", "description", "image", "problem", "seconds", "cost"} <= set(told["pictures"][0])
    assert (tmp_path / "here" / "sheet.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "file").write_text("")
    assert "give --to another file" in error_line(program(*asked, "--to", tmp_path / "file" / "sheet.png"), 1)
    assert "did you mean 'Analogy'" in error_line(program(*[a.replace("Analogy", "Analogie") for a in asked]), 2)
