"""What the hub, the network or the cache's disk refused, in one sentence with a way out.

Knows: the exceptions of huggingface_hub 1.x and 2.x. Does not know: what was asked for and why (hub).
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import cast

from huggingface_hub import constants
from huggingface_hub.errors import (
    DisabledRepoError,
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from s2t2_cli.errors import HubUnreachableError, ModelError, ModelNotFoundError

# huggingface_hub 1.x speaks through httpx, 2.x through httpx2; its own error derives from their HTTPError.
TransportError = cast("type[Exception]", HfHubHTTPError.__mro__[1])

_LOG_IN = "log in with `hf auth login` or set HF_TOKEN"
_BUSY = frozenset({408, 429})


def explained(error: Exception, model_id: str, revision: str | None, cache: Path) -> ModelError:
    """The error of this package that says what `error`, met while fetching `model_id`, means to the user."""
    page = f"{constants.ENDPOINT}/{model_id}"
    if isinstance(error, RevisionNotFoundError):
        return ModelNotFoundError(f"{model_id} has no revision {revision!r}: see {page}/commits/main")
    if isinstance(error, GatedRepoError):  # before RepositoryNotFoundError, which it derives from
        return ModelNotFoundError(f"{model_id} is gated: ask for access at {page}, then {_LOG_IN}")
    if isinstance(error, DisabledRepoError):
        return ModelNotFoundError(f"{model_id} has been disabled by the hub: see {page}")
    if isinstance(error, RepositoryNotFoundError):
        return ModelNotFoundError(
            f"there is no folder {model_id} here and no model of that name at {constants.ENDPOINT}: check the"
            f" name; if the model is private, {_LOG_IN}"
        )
    if isinstance(error, LocalEntryNotFoundError):  # the library's word for an answer that never came
        return _unreachable(error.__cause__ or error, model_id)
    if isinstance(error, EntryNotFoundError):
        return ModelNotFoundError(f"a file of {model_id} went from the hub while it was fetched: try again")
    if isinstance(error, TransportError):
        return _refused(error, model_id) if isinstance(error, HfHubHTTPError) else _unreachable(error, model_id)
    if isinstance(error, OSError) and error.errno is not None:
        remedy = "free some space" if error.errno == errno.ENOSPC else "make it writable"
        return ModelError(f"cannot write to the cache {cache} ({error.strerror}): {remedy}, or give --cache-dir")
    return HubUnreachableError(f"the download of {model_id} broke off and is not complete: try again")


def way_out(model_id: str) -> str:
    """What to do without the hub."""
    return f"run `s2t2 models download {model_id}` where there is network, or give a folder with --model"


def no_hub(model_id: str, answer: str) -> HubUnreachableError:
    """Something answers at the hub's address, and it is no hub: a login page, a wrong HF_ENDPOINT."""
    return HubUnreachableError(
        f"{constants.ENDPOINT} does not answer as a hub does ({answer}): check HF_ENDPOINT, or {way_out(model_id)}"
    )


def _refused(error: HfHubHTTPError, model_id: str) -> ModelError:
    status = error.response.status_code
    if status == 401:
        return ModelNotFoundError(f"the hub does not accept the access token: {_LOG_IN} anew, or unset HF_TOKEN")
    if status == 403:
        return ModelNotFoundError(f"the hub refuses access to {model_id}: ask its owner, then {_LOG_IN}")
    if 400 <= status < 500 and status not in _BUSY:
        return no_hub(model_id, str(status))
    return _unreachable(error, model_id)


def _unreachable(error: BaseException, model_id: str) -> HubUnreachableError:
    if isinstance(error, FileMetadataError):
        return no_hub(model_id, "headers are missing")
    if isinstance(error, HfHubHTTPError):
        reason = f"answered {error.response.status_code} {error.response.reason_phrase}".rstrip()
    elif any(base.__name__ == "TimeoutException" for base in type(error).__mro__):
        reason = "did not answer in time"
    else:
        said = re.sub(r"^\[Errno -?\d+\] ", "", str(error).partition("\n")[0])
        reason = f"cannot be reached ({said or type(error).__name__})"
    return HubUnreachableError(f"the hub {constants.ENDPOINT} {reason}: try again later, or {way_out(model_id)}")
