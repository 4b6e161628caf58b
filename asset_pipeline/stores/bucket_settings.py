"""Settings that a bucket requires of requests: encryption key, payer, extra headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Addressing = Literal["auto", "path", "virtual"]
Encryption = Literal["AES256", "aws:kms", "aws:kms:dsse"]

# These say how an object is to be kept. S3 takes them where one is made, and answers 400 elsewhere.
_OF_NEW_OBJECTS: Final = (
    "cache-control",
    "content-disposition",
    "x-amz-acl",
    "x-amz-grant-",
    "x-amz-meta-",
    "x-amz-object-lock-",
    "x-amz-server-side-encryption",
    "x-amz-storage-class",
    "x-amz-tagging",
)


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """What is asked for beyond the bucket's name; the defaults ask for nothing.

    Attributes:
        encryption: S3: sent with every new object; ``aws:kms`` if there is a key and no word.
        kms_key: The id or ARN of a key of AWS, or the name of a key of Google's, for new objects.
        requester_pays: S3: whoever asks pays for the request.
        user_project: Google: the project that pays for the requests.
        addressing: S3: whether the bucket's name is part of the path or of the host.
        headers: Further headers, sent with every request; what says how an object is to be kept,
            such as ``x-amz-acl``, with those alone that make one. The values may be secret.
    """

    encryption: Encryption | None = None
    kms_key: str = ""
    requester_pays: bool = False
    user_project: str = ""
    addressing: Addressing = "auto"
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def algorithm(self) -> Encryption | None:
        """How S3 is to encrypt new objects; None leaves it to the bucket."""
        return self.encryption or ("aws:kms" if self.kms_key else None)

    def s3_headers(self, *, makes_object: bool) -> dict[str, str]:
        """Return the headers of a request to S3.

        Args:
            makes_object: Whether the request makes an object.
        """
        found = {
            name.lower(): value
            for name, value in self.headers.items()
            if makes_object or not name.lower().startswith(_OF_NEW_OBJECTS)
        }
        if self.requester_pays:
            found["x-amz-request-payer"] = "requester"
        if makes_object and self.algorithm:
            found["x-amz-server-side-encryption"] = self.algorithm
            if self.kms_key:
                found["x-amz-server-side-encryption-aws-kms-key-id"] = self.kms_key
        return found

    def describe(self) -> str:
        """Return what is set, for people; of headers the names alone."""
        told = {
            "encryption": self.algorithm or "",
            "key": self.kms_key,
            "requester pays": "yes" if self.requester_pays else "",
            "user project": self.user_project,
            "addressing": "" if self.addressing == "auto" else self.addressing,
            "headers": ", ".join(sorted(self.headers)),
        }
        return "; ".join(f"{name} {value}" for name, value in told.items() if value)


NOTHING_ASKED: Final = BucketSettings()
