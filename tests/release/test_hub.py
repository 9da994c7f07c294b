"""Pushing a release, with the real Hub client against a Hub on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mirsb_build.errors import ReleaseError, UsageError
from mirsb_build.release.hub import Pushed, push
from tests.hub_server import Account, File, Hub, serve

REPO = "lab/mild-benchmark"
TOKEN = "hf_writerWriterWriter"
DATA = "data/train-00000-of-00001.parquet"
API = f"/api/datasets/{REPO}"


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with serve() as hub:
        yield hub


@pytest.fixture
def hub(server: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    """A Hub with one account that may write to `lab`, found through the environment as a user's would be."""
    from huggingface_hub import constants

    server.reset()
    server.accounts[TOKEN] = Account("writer", writes=frozenset({"lab", "writer"}))
    server.accounts["hf_stranger"] = Account("stranger")
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    # The client reads these when it is imported, which another test may have done before.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    return server


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release")


def make_release(folder: Path, *, prompt: str = "Which of these goes first?") -> Path:
    """Two instances in the released schema, a card and the manifest."""
    (folder / "data").mkdir(parents=True)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns: dict[str, pa.Array] = {
        "id": pa.array(["1", "2"]),
        "category": pa.array(["Privacy", "Violence"]),
        "original_question": pa.array(["Where does my neighbour keep the cake?"] * 2),
        "relationship_type": pa.array(["Analogy", "Causality"]),
        "revised_prompt": pa.array([prompt] * 2),
        "image_descriptions": pa.array([["a red square", "a blue square"]] * 2),
        "image_keywords": pa.array([["red", "blue"]] * 2),
        "images": pa.array([[{"bytes": png(c), "path": f"{c}.png"} for c in ("red", "blue")]] * 2, pa.list_(image)),
        "num_images": pa.array([2, 2]),
        "iteration": pa.array([1, 1]),
    }
    strings = {"dtype": "string", "_type": "Value"}
    features: dict[str, object] = dict.fromkeys(columns, strings)
    features |= {name: {"dtype": "int64", "_type": "Value"} for name in ("num_images", "iteration")}
    features |= {name: {"feature": strings, "_type": "List"} for name in ("image_descriptions", "image_keywords")}
    features["images"] = {"feature": {"_type": "Image"}, "_type": "List"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), folder / DATA)
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\npretty_name: Mild\n---\n\n# Mild\n", encoding="utf-8")
    write_manifest(folder)
    return folder


def png(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(out, "PNG")
    return out.getvalue()


def write_manifest(folder: Path, **more: object) -> None:
    files = {
        path.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    stated = {
        "build": "mild",
        "version": "1.0.0",
        "instances": 2,
        "simulated_review": False,
        "canary": "none",
        "content": "0" * 64,
        "made_with": {"profile": "", "taxonomy": "", "prompts": {}, "packages": {}, "code_revision": ""},
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(stated | more), encoding="utf-8")


def push_it(folder: Path) -> Pushed:
    return push(folder, REPO)


def refused(folder: Path, *, repo: str = REPO, token: str | None = None) -> str:
    """The message of a push that is refused: one line, without a token."""
    with pytest.raises(ReleaseError) as caught:
        push(folder, repo, token=token)
    message = str(caught.value)
    assert "\n" not in message
    assert "hf_" not in message
    return message


def uploads(hub: Hub) -> list[str]:
    """Requests that send any of a release's content."""
    return [line for line in hub.log if re.search(r"validate-yaml|preupload|/large/|/batch|/commit/", line)]


def test_a_release_is_one_commit_in_a_private_and_gated_data_set_with_a_tag(hub: Hub, release: Path) -> None:
    pushed = push_it(release)
    repo = hub.repos[REPO]
    assert (repo.private, repo.gated) == (True, "manual")
    assert [commit.message for commit in repo.commits] == ["initial commit", "Release 1.0.0"]
    assert repo.tags == {"v1.0.0": repo.head.oid}
    assert set(repo.head.files) == {".gitattributes", "README.md", "manifest.json", DATA}
    assert all(repo.head.files[name].data == (release / name).read_bytes() for name in ("manifest.json", DATA))
    assert pushed.changed
    assert (pushed.repo, pushed.url, pushed.tag) == (REPO, f"{hub.url}/datasets/{REPO}", "v1.0.0")
    assert (pushed.commit, pushed.files) == (repo.head.oid, 3)
    assert pushed.bytes == sum(path.stat().st_size for path in release.rglob("*") if path.is_file())


def test_privacy_and_gating_are_read_back_before_anything_is_uploaded(hub: Hub, release: Path) -> None:
    push_it(release)
    created, closed = hub.log.index("POST /api/repos/create 200"), hub.log.index(f"PUT {API}/settings 200")
    read_back = hub.log.index(f"GET {API} 200")
    assert created < closed < read_back < hub.log.index(uploads(hub)[0])
    assert hub.log.index(f"POST {API}/commit/main 200") < len(hub.log) - 1
    assert hub.log[-1].startswith(f"POST {API}/tag/")


def test_a_pushed_release_loads_with_the_datasets_library(hub: Hub, release: Path, tmp_path: Path) -> None:
    push_it(release)
    code = f"""
from datasets import load_dataset
rows = load_dataset("{REPO}", split="train")
assert rows.column_names[:3] == ["id", "category", "original_question"], rows.column_names
assert [image.getpixel((0, 0)) for image in rows[1]["images"]] == [(255, 0, 0), (0, 0, 255)]
print(len(rows))
"""
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    environment |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_DATASETS_OFFLINE": "0"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr + "\n".join(hub.log)
    assert ran.stdout.split() == ["2"]


@pytest.mark.parametrize("token", [None, "hf_stranger"])
def test_a_pushed_release_is_hidden_from_everybody_else(hub: Hub, release: Path, token: str | None) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    push_it(release)
    api = HfApi(endpoint=hub.url, token=token or False)
    with pytest.raises(HfHubHTTPError, match=r"401|404"):
        api.dataset_info(REPO)
    with pytest.raises(HfHubHTTPError, match=r"401|404"):
        api.get_paths_info(REPO, [DATA], repo_type="dataset")


def test_the_same_content_again_is_fine_and_uploads_nothing(hub: Hub, release: Path) -> None:
    first = push_it(release)
    hub.log.clear()
    again = push_it(release)
    assert not hub.writes()
    assert (again.changed, again.commit) == (False, first.commit)
    assert "already there" in again.note


def test_a_published_version_is_not_replaced(hub: Hub, release: Path, tmp_path: Path) -> None:
    push_it(release)
    hub.log.clear()
    message = refused(make_release(tmp_path / "other", prompt="Which of these goes last?"))
    assert "version 1.0.0 is already published" in message
    assert not hub.writes()


def test_a_new_version_deletes_what_it_no_longer_has_in_the_same_commit(hub: Hub, release: Path) -> None:
    (release / "extra.txt").write_text("extra", encoding="utf-8")
    write_manifest(release)
    push_it(release)
    (release / "extra.txt").unlink()
    write_manifest(release, version="1.1.0")
    pushed = push_it(release)
    repo = hub.repos[REPO]
    assert pushed.deleted == ("extra.txt",)
    assert len(repo.commits) == 3
    assert set(repo.head.files) == {".gitattributes", "README.md", "manifest.json", DATA}
    assert "extra.txt" in (repo.at("v1.0.0") or repo.head).files
    assert set(repo.tags) == {"v1.0.0", "v1.1.0"}


def test_a_simulated_review_is_refused_without_asking_the_hub(hub: Hub, release: Path) -> None:
    write_manifest(release, simulated_review=True)
    assert "simulated" in refused(release)
    assert not hub.log


def test_gating_that_does_not_stick_stops_the_push(hub: Hub, release: Path) -> None:
    hub.faults.gating_ignored = True
    assert "is private and not gated, but private and gated (manual) was asked for" in refused(release)
    assert not uploads(hub)
    hub.faults.gating_ignored = False
    assert push_it(release).changed


def test_privacy_that_does_not_stick_stops_the_push(hub: Hub, release: Path) -> None:
    hub.faults.privacy_ignored = True
    assert "is public and gated (manual), but private" in refused(release)
    assert not uploads(hub)


@pytest.mark.parametrize(("private", "gated"), [(False, "manual"), (True, False), (True, "auto")])
def test_a_data_set_more_open_than_asked_is_neither_filled_nor_changed(
    hub: Hub, release: Path, private: bool, gated: bool | str
) -> None:
    repo = hub.add_repo(REPO, private=private, gated=gated)  # pyright: ignore[reportArgumentType]
    repo.add("somebody's", {"somebody.txt": File(b"mine", large=False)})
    assert "was asked for" in refused(release)
    assert not hub.writes()
    assert (repo.private, repo.gated) == (private, gated)


def test_an_empty_data_set_is_closed_if_it_is_private_and_refused_if_it_is_public(hub: Hub, release: Path) -> None:
    hub.add_repo(REPO, private=False, gated="manual")
    assert "is public" in refused(release)
    assert not hub.writes()
    hub.add_repo(REPO, private=True)
    assert push_it(release).changed
    assert hub.repos[REPO].gated == "manual"


def test_a_public_data_set_has_to_be_asked_for(hub: Hub, release: Path) -> None:
    pushed = push(release, REPO, public=True, gated="auto")
    assert pushed.changed
    assert (hub.repos[REPO].private, hub.repos[REPO].gated) == (False, "auto")
    assert "is public and gated (auto), but private and gated (manual) was asked for" in refused(release)


@pytest.mark.parametrize("step", ["settings", "preupload", "commit", "tag"])
def test_a_push_that_was_cut_off_is_finished_by_the_next_one(
    hub: Hub, release: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # the client waits between its tries
    hub.faults.answers[step] = 500
    message = refused(release)
    assert "HTTP 500" in message
    assert "run again" in message
    hub.faults.answers.clear()
    assert push_it(release).tag in hub.repos[REPO].tags
    assert len(hub.repos[REPO].commits) == 2


def test_a_commit_of_somebody_else_in_between_is_not_built_over(
    hub: Hub, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    create_commit = HfApi.create_commit

    def late(self: HfApi, *args: object, **more: object) -> object:
        hub.repos[REPO].add("somebody's", {"somebody.txt": File(b"mine", large=False)})
        return create_commit(self, *args, **more)  # pyright: ignore

    monkeypatch.setattr(HfApi, "create_commit", late)
    assert "somebody else pushed" in refused(release)
    assert [commit.message for commit in hub.repos[REPO].commits] == ["initial commit", "somebody's"]


def test_what_the_hub_left_out_of_a_commit_is_noticed_and_not_tagged(hub: Hub, release: Path) -> None:
    hub.faults.not_committed = "README.md"
    assert "README.md differs" in refused(release)
    assert not hub.repos[REPO].tags


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "README.md").write_text("---\nlicense: other\n---\n"), "README.md is not the file"),
        (lambda folder: (folder / DATA).unlink(), f"{DATA} is in manifest.json but not in the folder"),
        (lambda folder: (folder / "notes.txt").write_text("x"), "notes.txt is not in manifest.json"),
        (lambda folder: (folder / "manifest.json").unlink(), "no finished release"),
        (lambda folder: (folder / "manifest.json").write_text('{"files": 3}'), "not a release's manifest"),
    ],
)
def test_a_folder_that_is_not_what_its_manifest_says_is_refused(
    hub: Hub, release: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(release)
    assert said in refused(release)
    assert not hub.log


@pytest.mark.parametrize("repo", ["name-only", "a/b/c", "lab/a--b", "lab/.hidden", "lab/x.git", "lab/a b", "../x", ""])
def test_a_name_that_the_hub_cannot_take_is_wrong_usage(release: Path, repo: str) -> None:
    with pytest.raises(UsageError, match="ORG/NAME"):
        push(release, repo)


def test_without_a_token_the_message_says_how_to_get_one(
    hub: Hub, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert "set HF_TOKEN" in refused(release)
    assert not hub.log


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hf_wrongWrongWrong", "HTTP 401"),
        ("hf_two words", "a space or a line break"),
        ("hf_stranger", "may write to lab"),
    ],
)
def test_a_token_that_does_not_do_is_not_shown(hub: Hub, release: Path, token: str, said: str) -> None:
    message = refused(release, token=token)
    assert said in message
    assert token not in message
    assert not hub.repos


@pytest.mark.usefixtures("hub")
def test_a_hub_that_cannot_be_reached_is_one_line(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in refused(release)
    monkeypatch.setenv("HF_ENDPOINT", "huggingface.co")
    with pytest.raises(UsageError, match="HF_ENDPOINT"):
        push_it(release)


def test_a_card_that_the_hub_cannot_read_is_one_line(hub: Hub, release: Path) -> None:
    (release / "README.md").write_text("---\nlicense: [\n---\n", encoding="utf-8")
    write_manifest(release)
    assert "Invalid metadata in README.md" in refused(release)
    assert len(hub.repos[REPO].commits) == 1


def test_a_dry_run_says_what_would_happen_and_writes_nothing(hub: Hub, release: Path) -> None:
    planned = push(release, REPO, dry_run=True)
    assert planned.dry_run
    assert planned.changed
    assert (planned.commit, planned.files) == (None, 3)
    assert "would create" in planned.note
    push_it(release)
    hub.log.clear()
    write_manifest(release, version="1.1.0")
    planned = push(release, REPO, dry_run=True)
    assert (planned.changed, planned.commit, planned.tag) == (True, None, "v1.1.0")
    assert not hub.writes()


def test_a_dry_run_needs_no_token(hub: Hub, release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    planned = push(release, REPO, dry_run=True)
    assert "HF_TOKEN" in planned.note
    assert not hub.log


def test_a_missing_client_says_what_to_install(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'mirsb-build[hub]'" in refused(release)
