"""How S3 is reached: endpoint, region, profile and credentials as the AWS tools read them.

botocore decides all of that, once; obstore, which moves the bytes, is told what it decided.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.stores.address import BucketAddress
from asset_pipeline.stores.bucket_settings import NOTHING_ASKED, BucketSettings
from asset_pipeline.stores.protocol import LinkMethod
from asset_pipeline.stores.s3_errors import no_credentials
from asset_pipeline.stores.s3_objects import BotoObjects, ObstoreObjects, S3Objects

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential, S3Store

_CONNECT_SECONDS: Final = 3
_SILENT_SECONDS: Final = 20

# obstore asks again for credentials when they are this old. botocore renews those that expire well
# before they do, so that asking it is cheap and always right.
_CREDENTIALS_LAST: Final = timedelta(minutes=5)

_MAKES_OBJECTS: Final = frozenset({"PutObject", "CreateMultipartUpload"})

_OPERATIONS: Final[Mapping[LinkMethod, str]] = {
    "GET": "get_object",
    "HEAD": "head_object",
    "PUT": "put_object",
}

# What S3 also takes from a link's query, where whoever opens the link sends no header.
_IN_QUERY: Final = frozenset({"x-amz-expected-bucket-owner", "x-amz-request-payer"})

Reply = Mapping[str, Any]


class S3Client(Protocol):
    """What is used of boto3's client, which has no types of its own."""

    def generate_presigned_url(
        self,
        ClientMethod: str,  # noqa: N803 -- boto3's name
        Params: Mapping[str, object],  # noqa: N803
        ExpiresIn: int = 3600,  # noqa: N803
    ) -> str:
        """Sign a link; nothing is sent."""
        ...

    def get_paginator(self, operation_name: str) -> Any:  # noqa: ANN401 -- untyped in boto3
        """Return a paginator."""
        ...

    def __getattr__(self, operation: str) -> Callable[..., Reply]:
        """Return an operation of S3, such as ``put_object``."""
        ...


@dataclass(frozen=True, slots=True)
class S3Links:
    """Signs links to objects of a bucket.

    Attributes:
        session: boto3's, which has the credentials.
    """

    client: S3Client
    session: Any
    bucket: str
    asked: BucketSettings

    def sign(self, method: LinkMethod, name: str, seconds: int, content_type: str | None) -> str:
        """Return a V4 link; nothing is sent.

        Whoever puts by a link sends the headers of encryption with it: they are signed.
        """
        params: dict[str, object] = {"Bucket": self.bucket, "Key": name}
        if content_type is not None:
            params["ContentType" if method == "PUT" else "ResponseContentType"] = content_type
        if method == "PUT" and self.asked.algorithm:
            params["ServerSideEncryption"] = self.asked.algorithm
            if self.asked.kms_key:
                params["SSEKMSKeyId"] = self.asked.kms_key
        link = self.client.generate_presigned_url(
            _OPERATIONS[method], Params=params, ExpiresIn=seconds
        )
        headers = self.asked.s3_headers(makes_object=False)
        query = {key: value for key, value in headers.items() if key in _IN_QUERY}
        if method == "PUT" or not query:
            return link
        if content_type is not None:
            query["response-content-type"] = content_type
        return self._with_query(method, link.partition("?")[0], query, seconds)

    def _with_query(self, method: str, url: str, query: dict[str, str], seconds: int) -> str:
        """Sign our own query; botocore would send it as headers, which browsers do not."""
        from botocore.auth import S3SigV4QueryAuth  # noqa: PLC0415 -- for S3 alone
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        found = self.session.get_credentials()
        if found is None:
            raise no_credentials()
        region = cast("Any", self.client).meta.region_name or "us-east-1"
        request = AWSRequest(method=method, url=url, params=query)
        auth = S3SigV4QueryAuth(found.get_frozen_credentials(), "s3", region, expires=seconds)
        auth.add_auth(request)
        return cast("str", request.url)


@dataclass(frozen=True, slots=True)
class S3Access:
    """A bucket, opened.

    Attributes:
        client: boto3's, for parts and the bucket's own settings; threads may share it.
        objects: For bytes; it keeps its connections, and threads may share it.
        links: Signs links.
    """

    client: S3Client
    objects: S3Objects
    links: S3Links


def open_s3(address: BucketAddress, asked: BucketSettings = NOTHING_ASKED) -> S3Access:
    """Return the access to a bucket; nothing is sent yet.

    Args:
        address: The bucket, and the prefix in it.
        asked: What the bucket asks of requests.

    Raises:
        ConfigurationError: A profile, region or endpoint of the AWS settings can't be used.
    """
    import boto3.session  # noqa: PLC0415 -- a quarter of a second, for S3 alone
    import botocore.session  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    try:
        settings = botocore.session.Session()
        settings.register_component("data_loader", _descriptions())
        if os.environ.get("AWS_REGION"):
            # boto3 reads AWS_DEFAULT_REGION alone; AWS's other tools read this one first.
            settings.set_config_variable("region", os.environ["AWS_REGION"])
        session = boto3.session.Session(botocore_session=settings)
        client, is_virtual = _client(settings, session, address.bucket, asked)
        objects: S3Objects = (
            BotoObjects(address, client)
            if asked.headers
            else ObstoreObjects(
                address,
                _objects(address, settings, session, client, asked, is_virtual=is_virtual),
            )
        )
        return S3Access(client, objects, S3Links(client, session, address.bucket, asked))
    except (BotoCoreError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"The AWS settings can't be used: {error}.",
            hint="Check AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and the files in ~/.aws.",
        ) from error


@functools.lru_cache(maxsize=1)
def _descriptions() -> Any:  # noqa: ANN401 -- botocore has no types
    """Return botocore's description of AWS, read once: 80 ms of CPU each time a store is opened."""
    import botocore.loaders  # noqa: PLC0415 -- for S3 alone

    return botocore.loaders.create_loader()


def _client(
    settings: Any,  # noqa: ANN401 -- botocore has no types
    session: Any,  # noqa: ANN401
    bucket: str,
    asked: BucketSettings,
) -> tuple[S3Client, bool]:
    """Return a client, and whether the bucket's name is part of the host it sends to."""
    from botocore.config import Config  # noqa: PLC0415 -- for S3 alone

    common = {
        "signature_version": "s3v4",  # links of version 2 bind no content type and never expire
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _SILENT_SECONDS,
        "retries": {"mode": "standard", "total_max_attempts": 3},
    }
    client = session.client("s3", config=Config(**common))
    scoped = settings.get_scoped_config().get("s3")
    chosen = cast("dict[str, str]", scoped if isinstance(scoped, dict) else {})
    style: str = asked.addressing
    if style == "auto":
        style = chosen.get("addressing_style", "auto")
    elif style != chosen.get("addressing_style"):
        client = session.client("s3", config=Config(**common, s3={"addressing_style": style}))
    if style == "auto" and ".amazonaws." in client.meta.endpoint_url:
        # Left to itself botocore signs links for the host of no region, which redirects for a day
        # when a bucket is new, and a redirected link is a broken one.
        style = "virtual"
        client = session.client("s3", config=Config(**common, s3={"addressing_style": style}))
    client.meta.events.register("before-call.s3", functools.partial(_add_headers, asked))
    # A certificate is good for one name before the host, so that one with dots goes to the path.
    is_virtual = style == "virtual" and "." not in bucket
    return cast("S3Client", client), is_virtual


def _add_headers(
    asked: BucketSettings,
    params: dict[str, Any],
    model: Any,  # noqa: ANN401 -- botocore has no types
    **_: object,
) -> None:
    """Send what the bucket asks for; botocore signs what is there before the call."""
    params["headers"].update(asked.s3_headers(makes_object=model.name in _MAKES_OBJECTS))


def _objects(
    address: BucketAddress,
    settings: Any,  # noqa: ANN401 -- botocore has no types
    session: Any,  # noqa: ANN401
    client: Any,  # noqa: ANN401
    asked: BucketSettings,
    *,
    is_virtual: bool,
) -> S3Store:
    """Return obstore's store on the address that botocore itself would send to."""
    from obstore.store import S3Store  # noqa: PLC0415 -- for S3 alone

    scheme, _, host = client.meta.endpoint_url.rstrip("/").partition("://")
    options: ClientConfig = {
        "allow_http": scheme == "http",
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        # Of silence, not in all: a long file on a slow line is no fault.
        "read_timeout": timedelta(seconds=_SILENT_SECONDS),
        "timeout": timedelta(hours=1),
    }
    bundle = settings.get_config_variable("ca_bundle")
    if bundle:
        options["root_certificate"] = Path(bundle).read_bytes()
    encryption: S3Config = {}
    if asked.algorithm:
        encryption["server_side_encryption"] = asked.algorithm
    if asked.kms_key:
        encryption["sse_kms_key_id"] = asked.kms_key
    if asked.requester_pays:
        encryption["request_payer"] = True
    return S3Store(
        address.bucket,
        config=encryption,
        prefix=address.prefix or None,
        endpoint=f"{scheme}://{address.bucket}.{host}" if is_virtual else f"{scheme}://{host}",
        region=client.meta.region_name or "us-east-1",
        virtual_hosted_style_request=is_virtual,
        credential_provider=_credentials(session),
        checksum_algorithm="sha256",
        conditional_put="etag",
        client_options=options,
        # One place repeats requests, for all stores alike: RetryingStore.
        retry_config={"max_retries": 0},
    )


def _credentials(session: Any) -> Callable[[], S3Credential]:  # noqa: ANN401 -- botocore has no types
    def provide() -> S3Credential:
        found = session.get_credentials()
        if found is None:
            raise no_credentials()
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _CREDENTIALS_LAST,
        }

    return provide


def pages(client: S3Client, operation: str, **arguments: object) -> Iterator[Reply]:
    """Yield all pages of a listing operation."""
    yield from client.get_paginator(operation).paginate(**arguments)
