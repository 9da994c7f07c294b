"""Push a finished release to the Hugging Face Hub: private, gated, one commit, one tag.

    folder against its manifest -> repository, its privacy and gating read back -> one commit
    -> what the Hub then holds against the manifest -> tag v<version>

Three rules keep a push from doing harm: nothing is uploaded before the Hub itself has said that the repository is as
closed as was asked; the settings of a repository that holds anything are never changed; a version that was published
is never replaced. A push that was cut off is finished by running it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from mirsb_build.errors import ReleaseError, UsageError
from mirsb_build.records import Record
from mirsb_build.release.folder import ReleaseFile, read_folder, some
from mirsb_build.releases.hub import REPOSITORY, bars_on_a_terminal_only, endpoint_of_hub, hub_errors

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, HfApi

Gated = Literal["manual", "auto", False]
"""Who opens the gate: the owners, one request at a time; anybody's request at once; there is no gate."""

KEPT = frozenset({".gitattributes"})
"""Files that are the Hub's own: they stay although no release has them."""

_TOKEN = re.compile(r"[!-~]+")


class Pushed(Record):
    """What a push did, or in a dry run would do."""

    repo: str
    url: str
    commit: str | None
    """Commit that holds the release; None in a dry run when a commit would have to be made."""
    tag: str
    files: int
    bytes: int
    deleted: tuple[str, ...] = ()
    """Files of an earlier release that this one no longer has."""
    changed: bool
    """False when the Hub held this very content before."""
    dry_run: bool = False
    note: str
    """The outcome as a sentence for people."""


def push(
    folder: Path,
    repo: str,
    *,
    public: bool = False,
    gated: Gated = "manual",
    dry_run: bool = False,
    token: str | None = None,
) -> Pushed:
    """Push the release in `folder` to the data set `repo` ("ORG/NAME") and tag it `v<version>`, as its manifest says.

    The Hub is the one of HF_ENDPOINT, the token is `token`, HF_TOKEN or the saved login. A dry run reads from the Hub
    and writes nothing; without a token it looks at the folder only. Pushing the same content again changes nothing.

    Raises UsageError for a name that the Hub cannot take, ReleaseError for everything else: a simulated review, a
    folder that is not its manifest's, a repository more open than asked, a version that is published already, and
    whatever the Hub or the network refuses. No message holds the token.
    """
    if not REPOSITORY.fullmatch(repo):
        raise UsageError(f"--repo {repo!r}: a Hub repository is ORG/NAME, of letters, digits, '-', '_' and '.'")
    manifest, files = read_folder(folder)
    if manifest.simulated_review:
        raise ReleaseError(
            f"build {manifest.build}: the review was simulated, and such a release is never pushed to a Hub; "
            "let people review the build and publish it again, or publish to a folder with --to"
        )
    release = _Release(manifest.version, files)
    endpoint = endpoint_of_hub()
    try:
        import huggingface_hub
    except ImportError as error:
        raise ReleaseError("pushing to a Hub needs huggingface_hub; pip install 'mirsb-build[hub]'") from error
    with hub_errors(repo, endpoint, token):
        token = token or huggingface_hub.get_token()
    if not token:
        if dry_run:
            note = "would push; not compared with the Hub, for which HF_TOKEN has to be set"
            url = f"{endpoint}/datasets/{repo}"
            return release.pushed(repo, url, None, changed=True, note=note, dry_run=True)
        raise ReleaseError(
            f"{repo}: there is no Hugging Face token; set HF_TOKEN to one that may write there "
            f"({endpoint}/settings/tokens), or run 'hf auth login'"
        )
    if not _TOKEN.fullmatch(token):
        raise ReleaseError(f"{repo}: the Hugging Face token has a space or a line break in it; set HF_TOKEN again")
    api = huggingface_hub.HfApi(endpoint=endpoint, token=token, library_name="mirsb-build")
    with hub_errors(repo, endpoint, token), bars_on_a_terminal_only():
        return _push(_Repository(api, repo, public, gated), release, dry_run=dry_run)


class _Release(NamedTuple):
    """What is pushed: file by path in the repository."""

    version: str
    files: Mapping[str, ReleaseFile]

    @property
    def tag(self) -> str:
        return f"v{self.version}"

    def missing(self, held: Mapping[str, str]) -> list[str]:
        """Files that a repository does not hold as they are here; `held` is content's name by path."""
        return sorted(p for p, file in self.files.items() if held.get(p) not in (file.sha256, file.blob_id))

    def stale(self, held: Mapping[str, str]) -> tuple[str, ...]:
        """Files that only the repository has."""
        return tuple(sorted(set(held) - set(self.files) - KEPT))

    def pushed(
        self,
        repo: str,
        url: str,
        commit: str | None,
        *,
        changed: bool,
        note: str,
        deleted: tuple[str, ...] = (),
        dry_run: bool = False,
    ) -> Pushed:
        return Pushed(
            repo=repo,
            url=url,
            commit=commit,
            tag=self.tag,
            files=len(self.files),
            bytes=sum(file.bytes for file in self.files.values()),
            deleted=deleted,
            changed=changed,
            dry_run=dry_run,
            note=note,
        )


class _Repository:
    """One data set repository on the Hub, and how closed it has to be."""

    def __init__(self, api: HfApi, repo: str, public: bool, gated: Gated) -> None:
        self.api = api
        self.repo = repo
        self.public = public
        self.gated: Gated = gated
        self.url = f"{api.endpoint}/datasets/{repo}"

    def info(self) -> DatasetInfo | None:
        """What the Hub says of the repository; None where it is missing or hidden from this token."""
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            info = self.api.dataset_info(self.repo, timeout=30)
        except RepositoryNotFoundError as error:
            # A wrong token and a closed gate raise the same class, with 401 and 403.
            if error.response.status_code != 404:
                raise
            return None
        if info.id != self.repo:
            raise ReleaseError(f"{self.repo} is called {info.id} now; push to that name")
        return info

    def make(self, *, exists: bool) -> DatasetInfo:
        """Create the repository if need be, set privacy and gating, and return what the Hub then says of it."""
        if not exists:
            # Private even where public was asked: it is opened in the one request that also puts up the gate.
            self.api.create_repo(self.repo, repo_type="dataset", private=True)
        visibility = "public" if self.public else "private"
        self.api.update_repo_settings(self.repo, repo_type="dataset", gated=self.gated, visibility=visibility)
        info = self.info()
        if info is None:
            raise ReleaseError(
                f"{self.repo} was created, but this token cannot see it; give it read access and run again"
            )
        self.require_settings(info)
        return info

    def require_settings(self, info: DatasetInfo) -> None:
        """Raise unless the repository is as open as was asked, no more and no less."""
        if info.private is (not self.public) and info.gated == self.gated:
            return
        found = _settings(public=info.private is not True, gated=info.gated)
        raise ReleaseError(
            f"{self.repo} is {found}, but {_settings(public=self.public, gated=self.gated)} was asked for; "
            f"nothing was uploaded; change it at {self.url}/settings, or ask for what it is"
        )

    def published(self, release: _Release) -> str | None:
        """The commit that has the release's tag; raises where that commit holds something else."""
        refs = self.api.list_repo_refs(self.repo, repo_type="dataset")
        commit = next((ref.target_commit for ref in refs.tags if ref.name == release.tag), None)
        held = self.held(commit)
        if commit and (release.missing(held) or release.stale(held)):
            raise ReleaseError(
                f"version {release.version} is already published in {self.repo} with other content "
                f"({self.url}/tree/{release.tag}); publish this release under a new version"
            )
        return commit

    def held(self, commit: str | None) -> dict[str, str]:
        """Name of the content by path: SHA-256 of a large file, git's blob id of a small one."""
        from huggingface_hub.hf_api import RepoFile

        if commit is None:
            return {}
        tree = self.api.list_repo_tree(self.repo, repo_type="dataset", revision=commit, recursive=True)
        return {e.path: e.lfs.sha256 if e.lfs else e.blob_id for e in tree if isinstance(e, RepoFile)}

    def commit(self, release: _Release, held: Mapping[str, str], parent: str | None) -> str:
        """Make the repository's files the release's, in one commit on top of `parent`; return its id."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        additions = [CommitOperationAdd(path, release.files[path].path) for path in release.missing(held)]
        deletions = [CommitOperationDelete(path, is_folder=False) for path in release.stale(held)]
        made = self.api.create_commit(
            self.repo,
            [*deletions, *additions],
            repo_type="dataset",
            commit_message=f"Release {release.version}",
            parent_commit=parent,
        )
        now = self.held(made.oid)
        if wrong := [*release.missing(now), *release.stale(now)]:
            raise ReleaseError(
                f"{self.repo}: commit {made.oid[:8]} does not hold the release ({some(wrong)} differs) and was not "
                "tagged; look for a .gitignore in the repository, remove it and push again"
            )
        return made.oid

    def tag(self, tag: str, commit: str) -> None:
        self.api.create_tag(self.repo, repo_type="dataset", tag=tag, revision=commit)


def _push(repository: _Repository, release: _Release, *, dry_run: bool) -> Pushed:
    """The push proper: look, make and close, upload, tag."""
    repo, url = repository.repo, repository.url
    info = repository.info()
    fresh = info is None or _untouched(info)
    if info is not None and not fresh:
        repository.require_settings(info)
        if commit := repository.published(release):
            note = f"version {release.version} is already there with this content; nothing was uploaded"
            return release.pushed(repo, url, commit, changed=False, note=note, dry_run=dry_run)
    if fresh and not dry_run:
        info = repository.make(exists=info is not None)
    head = info.sha if info else None
    held = repository.held(head)
    changed, deleted = release.missing(held), release.stale(held)
    if dry_run:
        note = (
            f"would {'push to' if info else 'create'} {repo}: {len(changed)} files to commit, {len(deleted)} to delete"
        )
    elif changed or deleted:
        head = repository.commit(release, held, head)
        note = f"pushed {len(changed)} files in one commit, deleted {len(deleted)}"
    else:
        note = f"the content was already there; nothing was uploaded, tagged {release.tag}"
    if not dry_run and head is not None:
        repository.tag(release.tag, head)
    commit = None if dry_run and (changed or deleted) else head
    return release.pushed(
        repo, url, commit, changed=bool(changed or deleted), note=note, deleted=deleted, dry_run=dry_run
    )


def _untouched(info: DatasetInfo) -> bool:
    """Whether a repository is private and empty, as one is between its creation and its first commit.

    Only such a one has its settings changed: a push that was cut off in there has to be able to go on.
    """
    return info.private is True and {sibling.rfilename for sibling in info.siblings or ()} <= KEPT


def _settings(*, public: bool, gated: object) -> str:
    return f"{'public' if public else 'private'} and {f'gated ({gated})' if gated else 'not gated'}"
