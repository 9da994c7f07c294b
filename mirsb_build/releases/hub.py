"""A Hub's files, and what it or the network refuses, in our own words."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mirsb_build.errors import MirsbError, ReleaseError, UsageError

HUB = "https://huggingface.co"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
REPOSITORY = re.compile(rf"(?!.*(?:--|\.\.|\.git$|\.ipynb$)){_NAME}/{_NAME}")
"""ORG/NAME, as a Hub takes it."""
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._~/-]*)?")


def download(repo: str) -> Path:
    """The newest published version of a data set repository, in the Hub client's own cache; raises ReleaseError.

    That is the tag v<version> with the highest version; a repository without one has no finished release.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ReleaseError(f"{repo}: a Hub is read with huggingface_hub; pip install 'mirsb-build[hub]'") from error
    endpoint = endpoint_of_hub()
    with hub_errors(repo, endpoint, os.environ.get("HF_TOKEN")), bars_on_a_terminal_only():
        refs = huggingface_hub.HfApi(endpoint=endpoint).list_repo_refs(repo, repo_type="dataset")
        versions = [ref.name for ref in refs.tags if re.fullmatch(r"v[0-9.]+", ref.name)]
        if not versions:
            raise ReleaseError(f"{repo}: no version of it is published there; check the name, or publish one first")
        newest = max(versions, key=lambda tag: [int(part) for part in tag[1:].split(".") if part])
        folder = huggingface_hub.snapshot_download(repo, repo_type="dataset", revision=newest, endpoint=endpoint)
    return Path(folder)


def endpoint_of_hub() -> str:
    """Address of the Hub in use: HF_ENDPOINT, or the public one; raises UsageError for what is no address."""
    # The library reads HF_ENDPOINT once, when it is imported; here it counts when it is used.
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB
    if not _ENDPOINT.fullmatch(endpoint):
        raise UsageError(f"HF_ENDPOINT is no address of a Hub; set it to one like {HUB}, or unset it")
    return endpoint


@contextmanager
def bars_on_a_terminal_only() -> Generator[None]:
    """Keep the library's progress bars out of pipes and logs."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextmanager
def hub_errors(repo: str, endpoint: str, token: str | None) -> Generator[None]:
    """Turn whatever the library raises into a ReleaseError of one line, without the token."""
    try:
        yield
    except MirsbError:
        raise
    except Exception as error:  # from httpx, hf_xet, OIDC, json and the library itself: they have no common base
        # An upload that failed arrives wrapped in a RuntimeError that names the file and hides the reason.
        cause = error.__cause__ if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception) else error
        message = " ".join(f"{repo}: {_explain(cause, repo, endpoint)}".split())
        raise ReleaseError(message.replace(token, "***") if token else message) from error


_STATUS = {
    401: "the Hub does not accept the token; set HF_TOKEN to a valid one ({endpoint}/settings/tokens)",
    403: "the token may not do this; use one that may write to {org} (HF_TOKEN, {endpoint}/settings/tokens)",
    404: "the Hub does not know it, or hides it from this token; check the name and what HF_TOKEN may see",
    409: "the Hub has this already; if you cannot see the repository, HF_TOKEN needs access to it, else run again",
    412: "somebody else pushed to it meanwhile, so nothing was committed; run again",
    429: "too many requests for the Hub; wait some minutes and run again, it goes on where it stopped",
}


def _explain(error: Exception, repo: str, endpoint: str) -> str:
    """What happened and what to do now."""
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        advice = _STATUS.get(status, "look at the status of the Hub and run again, it goes on where it stopped")
        said = f" ({error.server_message[:200]})" if error.server_message else ""
        return f"HTTP {status}{said}: {advice.format(endpoint=endpoint, org=repo.split('/', maxsplit=1)[0])}"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so the Hub is not asked; unset it and run again"
    if isinstance(error, errors.LocalTokenNotFoundError):
        return "there is no Hugging Face token; set HF_TOKEN or run 'hf auth login'"
    if isinstance(error, errors.HTTPError):  # pyright: ignore[reportPrivateImportUsage]  httpx's or httpx2's, by version
        return f"{endpoint} cannot be reached ({error}); check the network and HF_ENDPOINT, then run again"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; publish the build again"
    return f"{type(error).__name__}: {str(error)[:300]}; if that is no help, check that HF_ENDPOINT is a Hub"
