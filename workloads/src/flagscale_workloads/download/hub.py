"""A repository of the Hugging Face hub, or of a mirror that speaks its API."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
from huggingface_hub import HfApi, hf_hub_url, set_client_factory
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling

from flagscale_api.v1alpha1.model_download import HubModel
from flagscale_workloads.download.errors import DownloadError, InterruptedDownloadError
from flagscale_workloads.download.remote import (
    READ_TIMEOUT_S,
    Digest,
    Listing,
    RemoteFile,
    Stream,
)
from flagscale_workloads.download.web import check_status, http_stream, reason_of

_REMEDY = (
    "set spec.model.huggingFace.tokenSecretRef to a token that may read it, and accept the "
    "model's terms on the hub"
)


class HubRepository:
    """All files of one commit."""

    def __init__(self, model: HubModel, token: str | None, client: httpx2.Client) -> None:
        self.where = f"spec.model.huggingFace {model.repo}@{model.revision}"
        self._model = model
        self._client = client
        set_client_factory(lambda: client)
        self._api = HfApi(endpoint=model.endpoint, token=token or False)
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._commit = model.revision

    def list(self) -> Listing:
        """The commit that the revision means, and its files."""
        model = self._model
        try:
            info = self._api.model_info(
                model.repo, revision=model.revision, files_metadata=True, timeout=READ_TIMEOUT_S
            )
        except (HfHubHTTPError, httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            raise self._explained(error) from error
        self._commit = info.sha or model.revision
        return Listing(tuple(map(_remote, info.siblings or ())), self._commit)

    @contextmanager
    def read(self, file: RemoteFile, offset: int) -> Iterator[Stream]:
        """See `Source.read`; the token goes to the hub alone, not where it redirects to."""
        url = hf_hub_url(
            self._model.repo,
            file.name,
            revision=self._commit,
            endpoint=self._model.endpoint,
        )
        where = f"{self.where}: {file.name}"
        with http_stream(
            self._client, url, offset, where=where, remedy=_REMEDY, headers=self._headers
        ) as stream:
            yield stream

    def close(self) -> None:
        """See `Source.close`."""
        self._client.close()

    def _explained(self, error: Exception) -> Exception:
        where = self.where
        if isinstance(error, GatedRepoError):
            msg = f"{where}: the hub gives it to those only who accepted its terms; {_REMEDY}"
            return DownloadError("ModelUnauthorized", msg)
        if isinstance(error, RepositoryNotFoundError):
            msg = f"{where}: does not exist, or is private; correct repo, or {_REMEDY}"
            return DownloadError("ModelNotFound", msg)
        if isinstance(error, RevisionNotFoundError):
            msg = f"{where}: the repository has no such revision; name a commit, tag or branch"
            return DownloadError("ModelNotFound", msg)
        if isinstance(error, HfHubHTTPError):
            try:
                check_status(error.response, where, remedy=_REMEDY)
            except (DownloadError, InterruptedDownloadError) as explained:
                return explained
        if isinstance(error, HFValidationError):
            return DownloadError("ModelNotFound", f"{where}: is no name of the hub; correct it")
        if isinstance(error, (ValueError, KeyError, TypeError)):
            msg = f"{where}: the server does not answer as a hub; correct endpoint"
            return DownloadError("ModelDownloadFailed", msg)
        return InterruptedDownloadError(reason_of(error))


def _remote(file: RepoSibling) -> RemoteFile:
    known = file.blob_id is not None and file.size is not None
    digest = Digest("git", file.blob_id or "") if known else None
    if file.lfs:
        digest = Digest("sha256", file.lfs.sha256)
    return RemoteFile(file.rfilename, file.size, digest)
