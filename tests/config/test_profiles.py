"""Profiles: extended, overridden with --set, and every mistake named with its file and the nearest known name."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.config.profiles import Profile, check_build_name, load_profile, profile_names
from mirsb_build.errors import MirsbError, UnknownName, UsageError
from mirsb_build.records import BuildOrder


def profile(folder: Path, text: str, name: str = "mine.yaml") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(dedent(text), encoding="utf-8")
    return str(folder / name)


def refused(path: str, *settings: str) -> str:
    """What loading the profile is answered with."""
    with pytest.raises(UsageError) as caught:
        load_profile(path, settings)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# Ours


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_of_ours_loads_and_carries_its_name(name: str) -> None:
    assert load_profile(name).name == name


def test_the_offline_profile_has_what_a_build_without_a_key_needs() -> None:
    offline = load_profile("offline")
    assert {role: choice.backend for role, choice in offline.models.items()} == {
        "seed_writer": "offline",
        "revisor": "offline",
    }
    assert offline.images.backend == "openmoji"
    assert offline.review.mode == "people", "a simulated review is asked for, never had by default"


def test_an_unknown_profile_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match="unknown profile 'ofline'; did you mean 'offline'"):
        load_profile("ofline")


# The user's own


def test_a_profile_is_named_by_its_file_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert load_profile(profile(tmp_path, "extends: offline\n", "evening.yaml")).name == "evening"
    assert load_profile(profile(tmp_path, "extends: offline\nname: dawn\n")).name == "dawn"


def test_a_profile_that_extends_another_changes_what_it_says_and_keeps_the_rest(tmp_path: Path) -> None:
    mine = load_profile(
        profile(tmp_path, "extends: offline\nlimits: {shard_size: 7}\nchecks: {lexical_leakage: {threshold: 0.5}}\n")
    )
    ours = load_profile("offline")
    assert mine.limits == ours.limits.model_copy(update={"shard_size": 7})
    assert mine.checks == {**ours.checks, "lexical_leakage": {"threshold": 0.5}}
    assert list(mine.checks) == list(ours.checks), "in the order they run"
    assert mine.models == ours.models


def test_profiles_extend_one_another_over_several_files(tmp_path: Path) -> None:
    profile(tmp_path, "extends: offline\nlimits: {shard_size: 7, repairs: 1}\n", "team.yaml")
    mine = load_profile(profile(tmp_path, "extends: ./team.yaml\nlimits: {repairs: 5}\n"))
    assert (mine.limits.shard_size, mine.limits.repairs) == (7, 5)


def test_a_profile_extends_the_file_beside_it_wherever_the_command_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile(tmp_path / "profiles", "extends: offline\nlimits: {shard_size: 7}\n", "team.yaml")
    mine = profile(tmp_path / "profiles", "extends: team.yaml\n")
    monkeypatch.chdir(tmp_path)
    assert load_profile(mine).limits.shard_size == 7


@pytest.mark.parametrize("extends", ["./mine.yaml", "../here/mine.yaml", "./other.yaml"])
def test_profiles_that_extend_themselves_are_told_so(tmp_path: Path, extends: str) -> None:
    profile(tmp_path / "here", "extends: ./mine.yaml\n", "other.yaml")
    assert "extends itself" in refused(profile(tmp_path / "here", f"extends: {extends}\n"))


def test_an_unknown_profile_that_is_extended_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    assert "unknown profile 'offlin'; did you mean 'offline'?" in refused(profile(tmp_path, "extends: offlin\n"))


def test_folders_start_at_the_file_that_names_them_also_when_it_is_extended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile(tmp_path / "team", "extends: offline\nfolders: [shared]\n", "team.yaml")
    mine = profile(tmp_path / "mine", "extends: ../team/team.yaml\nfolders: [., ../extra]\n")
    monkeypatch.chdir("/")
    assert load_profile(mine).folders == tuple(str(tmp_path / p) for p in ("team/shared", "mine", "extra"))


# What is wrong with one


def test_yaml_that_does_not_parse_is_blamed_on_its_line(tmp_path: Path) -> None:
    path = profile(tmp_path, "extends: offline\nlimits: {shard_size: 7\nchecks: {}\n")
    assert refused(path).startswith(f"{path}, line 3: is not YAML: ")


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(str(tmp_path / "nowhere.yaml")).startswith(f"{tmp_path}/nowhere.yaml: cannot be read: No such file")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("extends: offline\nlimit: {repairs: 1}\n", ", line 2: unknown key 'limit'; did you mean 'limits'?"),
        (
            "extends: offline\nlimits:\n  shard_sise: 1\n",
            ", line 3: unknown key 'limits.shard_sise'; did you mean 'shard_size'?",
        ),
        (
            "extends: offline\nmodels:\n  revisor:\n    backend: offline\n    modell: x\n",
            ", line 5: unknown key 'models.revisor.modell'; did you mean 'model'?",
        ),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_one_and_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = profile(tmp_path, text)
    assert refused(path) == path + told


def test_a_value_out_of_range_is_named_with_its_line(tmp_path: Path) -> None:
    path = profile(tmp_path, "extends: offline\nlimits:\n  repairs: 2\n  shard_size: 0\n")
    assert refused(path).startswith(f"{path}, line 4: limits.shard_size: ")


@pytest.mark.parametrize("value", ["mine", "5", "{a: b}", "null"])
def test_folders_that_are_no_list_of_names_are_refused_with_their_line(tmp_path: Path, value: str) -> None:
    path = profile(tmp_path, f"extends: offline\nfolders: {value}\n")
    assert refused(path).startswith(f"{path}, line 2: folders")


def test_a_mistake_in_a_profile_that_is_extended_is_blamed_on_that_file(tmp_path: Path) -> None:
    base = profile(tmp_path, "extends: offline\n\nlimit: {repairs: 1}\n", "team.yaml")
    assert refused(profile(tmp_path, "extends: ./team.yaml\n")).startswith(f"{base}, line 3: unknown key 'limit'")


def test_a_profile_that_lacks_what_every_build_needs_says_what(tmp_path: Path) -> None:
    assert "'models' is missing" in refused(profile(tmp_path, "description: empty\n"))


# --set

OVERRIDES: dict[str, st.SearchStrategy[Any]] = {
    "seeds.per_category": st.integers(1, 10_000),
    "seeds.categories": st.lists(st.text("abcXYZ_- ,:#", max_size=6), max_size=3),
    "relation_types": st.lists(st.text("abcXYZ_", min_size=1, max_size=6), max_size=3),
    "limits.max_iterations": st.integers(1, 20),
    "limits.candidates": st.none() | st.integers(1, 10**6),
    "review.mode": st.sampled_from(["people", "simulated"]),
    "release.title": st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20),
    "images.width": st.integers(64, 4096),
    "checks.lexical_leakage.threshold": st.floats(0.01, 1),
    "checks.image_duplicates": st.none() | st.just({"distance": 3}),
    "models.revisor.model": st.text("abc-1", min_size=1, max_size=6),
    "models.judge": st.just({"backend": "offline", "model": "m", "sampling": {"temperature": 0.5}}),
}


def value_at(loaded: Profile, key: str) -> Any:
    value: Any = loaded.model_dump(mode="json", exclude_defaults=key == "models.judge")
    for step in key.split("."):
        value = value[step]
    return value


@pytest.fixture(scope="module")
def offline() -> Profile:
    return load_profile("offline")


@settings(max_examples=40)
@given(wanted=st.fixed_dictionaries({}, optional=OVERRIDES))
def test_what_is_set_is_what_the_profile_then_says_and_nothing_else_changes(
    offline: Profile, wanted: dict[str, Any]
) -> None:
    typed = tuple(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in wanted.items())
    loaded = load_profile("offline", typed)
    assert {key: value_at(loaded, key) for key in wanted} == wanted
    untouched = [key for key in OVERRIDES if key not in wanted and key != "models.judge"]
    assert all(value_at(loaded, key) == value_at(offline, key) for key in untouched)


def test_the_last_of_several_settings_of_one_key_holds() -> None:
    assert load_profile("offline", ("limits.repairs=1", "limits.repairs=4")).limits.repairs == 4


def test_a_setting_is_read_as_yaml() -> None:
    loaded = load_profile("offline", ("seeds.categories=[Privacy]", "limits.candidates=", "release.title='5'"))
    assert loaded.seeds.categories == ("Privacy",)
    assert loaded.limits.candidates is None
    assert loaded.release.title == "5"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("limits.max_iterations", "write it as key=value"),
        ("=3", "write it as key=value"),
        ("limits.max_iterations=0", "limits.max_iterations: Input should be greater than or equal to 1"),
        ("limits.max_iteration=2", "unknown key 'limits.max_iteration'; did you mean 'max_iterations'?"),
        ("limit.repairs=2", "unknown key 'limit'; did you mean 'limits'?"),
        ("seeds.per_category.x=1", "'per_category' holds a value, not more keys"),
        ("seeds.categories=[Privacy", "is not a YAML value"),
        ("seeds.per_call.x=1", "seeds.per_call"),
        ("release.title=2026-13-45", "2026-13-45"),
    ],
)
def test_a_setting_that_is_wrong_is_named_as_it_was_typed(setting: str, told: str) -> None:
    answer = refused("offline", setting)
    assert answer.startswith(f"--set {setting}: ")
    assert told in answer


def test_the_setting_that_is_wrong_is_named_among_those_that_are_right() -> None:
    assert refused("offline", "limits.repairs=1", "images.width=1").startswith("--set images.width=1: ")


def test_a_mistake_of_the_file_is_not_blamed_on_a_setting(tmp_path: Path) -> None:
    path = profile(tmp_path, "extends: offline\nlimits: {shard_size: 0}\n")
    assert refused(path, "limits.repairs=1").startswith(f"{path}, line 2: limits.shard_size")


typed = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=30)


@settings(max_examples=60)
@given(typed | st.tuples(st.sampled_from([*OVERRIDES]), typed).map("=".join))
def test_any_setting_is_applied_or_refused_in_one_line(setting: str) -> None:
    try:
        load_profile("offline", (setting,))
    except MirsbError as error:
        assert len(str(error).splitlines()) == 1


# Orders


@pytest.mark.parametrize("name", ["a", "demo", "2026-01", "a.b_c-d", "x" * 64])
def test_build_names_are_short_and_plain(name: str) -> None:
    assert check_build_name(name) == name


@pytest.mark.parametrize("name", ["", "Demo", "-a", ".a", "_a", "a/b", "..", "a b", "ä", "x" * 65, "demo\n"])
def test_a_name_that_cannot_be_a_folder_everywhere_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"build name .*: use 1-64 of a-z"):
        check_build_name(name)


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=3))
def test_an_order_survives_the_way_to_another_process(typed: list[str]) -> None:
    order = BuildOrder(build="demo", store="s3://bucket/team", settings=tuple(typed))
    assert BuildOrder.model_validate_json(order.model_dump_json()) == order
