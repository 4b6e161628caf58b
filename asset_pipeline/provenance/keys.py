"""The certificate and key that files are signed with: read, made for development, and looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.files import make_private_folder, write_atomically
from asset_pipeline.settings import Settings

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

CERTIFICATE: Final = "signing-cert.pem"
KEY: Final = "signing-key.pem"
AUTHORITY: Final = "authority.pem"
AUTHORITY_KEY: Final = "authority-key.pem"

EXTRA_HINT: Final = "Install it with `pip install 'asset-pipeline[provenance]'`."

EXPIRES_SOON: Final = timedelta(days=30)
"""From here on a certificate is to be replaced."""

_PEM = "-----BEGIN "
_AUTHORITY_DAYS, _DAYS = 3650, 365
_SKEW = timedelta(hours=1)  # whoever verifies at once may have a clock that is behind
_ORGANISATION = "asset-pipeline development"


class KeyMaterialError(ConfigurationError):
    """A certificate or key is missing, damaged, expired, or not the other's."""


class ExtraMissingError(AssetPipelineError):
    """What signs and checks signatures is not installed."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A certificate chain and its key, which were found to fit.

    Attributes:
        chain: PEM, the signer's certificate first.
        private_key: PEM; a secret.
        algorithm: As C2PA calls it, such as ``es256``.
        subject: Whom the certificate names.
        issuer: Who issued it.
        fingerprint: SHA-256 of the certificate, 64 hex digits.
        not_before: From when it may be used.
        not_after: Until when.
        is_development: Whether ``provenance init`` made it.
    """

    chain: bytes
    private_key: bytes
    algorithm: str
    subject: str
    issuer: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    is_development: bool

    def __repr__(self) -> str:
        return f"SigningKey({self.subject!r}, until {self.not_after:%Y-%m-%d})"

    def check(self, now: datetime) -> None:
        """Refuse a certificate that may not be used now.

        Raises:
            KeyMaterialError: It has expired, or is not valid yet.
        """
        if now > self.not_after:
            raise KeyMaterialError(
                f"The signing certificate of {self.subject!r} expired on "
                f"{self.not_after:%Y-%m-%d}; nothing is signed with it.",
                hint="Replace ASSET_PIPELINE_SIGNING_CERT and ASSET_PIPELINE_SIGNING_KEY, or renew "
                "the development key with `asset-pipeline provenance init --renew`.",
            )
        if now < self.not_before:
            raise KeyMaterialError(
                f"The signing certificate of {self.subject!r} is valid from "
                f"{self.not_before:%Y-%m-%d %H:%M} UTC on, and it is {now:%Y-%m-%d %H:%M} UTC.",
                hint="Is this machine's clock right?",
            )


def key_folder(settings: Settings) -> Path:
    """Return where ``provenance init`` puts what it makes."""
    return settings.data_dir / "provenance"


def is_configured(settings: Settings) -> bool:
    """Tell whether files are to be signed: there is a certificate or a key, right or wrong."""
    chosen = settings.signing_cert is not None or settings.signing_key is not None
    return chosen or (key_folder(settings) / KEY).exists()


def load_key(settings: Settings) -> SigningKey | None:
    """Return what files are signed with; None where nothing is configured.

    Raises:
        ExtraMissingError: It is configured, and what reads it is not installed.
        KeyMaterialError: It can't be used.
    """
    if not is_configured(settings):
        return None
    folder = key_folder(settings)
    chosen_cert, chosen_key = settings.signing_cert, settings.signing_key
    if chosen_cert is None and chosen_key is None:
        chain = _read(str(folder / CERTIFICATE), "the development certificate")
        key = _read(str(folder / KEY), "the development key")
    elif chosen_cert is None or chosen_key is None:
        missing = "CERT" if chosen_cert is None else "KEY"
        raise KeyMaterialError(
            f"ASSET_PIPELINE_SIGNING_{missing} is not set; signing takes a certificate and a key.",
            hint="Set both to a PEM file or to PEM text, or neither.",
        )
    else:
        chain = _read(chosen_cert, "ASSET_PIPELINE_SIGNING_CERT")
        key = _read(chosen_key.get_secret_value(), "ASSET_PIPELINE_SIGNING_KEY")
    return _checked(chain, key)


def trust_anchors(settings: Settings, given: Path | None = None) -> str:
    """Return the certificates of the authorities that are trusted, as PEM; empty for none.

    Raises:
        KeyMaterialError: A file that was named can't be read.
    """
    found: list[bytes] = []
    if given is not None:
        found.append(_read(str(given), "the trust list"))
    if settings.trust_anchors is not None:
        found.append(_read(settings.trust_anchors, "ASSET_PIPELINE_TRUST_ANCHORS"))
    own = key_folder(settings) / AUTHORITY
    if own.is_file():
        found.append(own.read_bytes())
    return b"\n".join(found).decode("ascii", "replace")


def make_development_key(folder: Path, now: datetime, *, renew: bool = False) -> SigningKey:
    """Make an authority and a certificate of its own, worth nothing to anybody else.

    Args:
        folder: Where they go; the owner's alone.
        now: The time.
        renew: Keep the authority that is there and issue a new certificate: what the old one
            signed goes on being trusted.

    Raises:
        ExtraMissingError: What makes certificates is not installed.
        KeyMaterialError: There is one already, or none to renew.
    """
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 -- of the extra

    if (folder / KEY).exists() and not renew:
        raise KeyMaterialError(
            f"{folder} has a development key already; what it signed would no longer be trusted.",
            hint="Issue a new certificate under the same authority with --renew.",
        )
    make_private_folder(folder)
    if renew:
        authority_key = _private_key(_read(str(folder / AUTHORITY_KEY), "the authority's key"))
        if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
            raise KeyMaterialError(f"{folder / AUTHORITY_KEY} is not the key that was made here.")
        authority = _certificates(_read(str(folder / AUTHORITY), "the authority"))[0]
    else:
        authority_key = ec.generate_private_key(ec.SECP256R1())
        authority = _issue_authority(authority_key, now)
        write_atomically(folder / AUTHORITY_KEY, _pem_of_key(authority_key), private=True)
        write_atomically(folder / AUTHORITY, _pem_of(authority), private=True)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _issue(key, authority, authority_key, now)
    chain, private_key = _pem_of(certificate), _pem_of_key(key)
    # The key last: a certificate alone signs nothing, and is written again.
    write_atomically(folder / CERTIFICATE, chain, private=True)
    write_atomically(folder / KEY, private_key, private=True)
    return _checked(chain, private_key)


def _checked(chain: bytes, key: bytes) -> SigningKey:
    _require_cryptography()
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415 -- of the extra

    certificates, private_key = _certificates(chain), _private_key(key)
    leaf = certificates[0]
    encoding = (
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo,
    )
    if leaf.public_key().public_bytes(*encoding) != private_key.public_key().public_bytes(
        *encoding
    ):
        raise KeyMaterialError(
            f"The signing key is not that of the certificate of {_name(leaf.subject)!r}.",
            hint="The signer's own certificate has to come first in the file, those of its "
            "authorities behind it.",
        )
    return SigningKey(
        chain=b"".join(_pem_of(each) for each in certificates),
        # As PKCS 8, the one form that C2PA takes, whichever it came in.
        private_key=_pem_of_key(private_key),
        algorithm=_algorithm(private_key),
        subject=_name(leaf.subject),
        issuer=_name(leaf.issuer),
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        is_development=_ORGANISATION in leaf.issuer.rfc4514_string(),
    )


def _algorithm(key: PrivateKeyTypes) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: PLC0415 -- of the extra

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in curves:
        return curves[key.curve.name]
    raise KeyMaterialError(
        "The signing key is of a kind that C2PA does not take.",
        hint="Use an elliptic curve (P-256, P-384, P-521), Ed25519, or RSA.",
    )


def _read(where: str, what: str) -> bytes:
    """Return PEM: the text itself, or what a file of that name holds."""
    if where.lstrip().startswith(_PEM):
        # Variables of some services can't hold ends of lines.
        return where.strip().replace("\\n", "\n").encode()
    try:
        return Path(where).expanduser().read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no name of a file"
        raise KeyMaterialError(
            f"{what[0].upper()}{what[1:]} can't be read: {why}.",
            hint="Give the path of a PEM file, or the PEM text itself.",
        ) from None


def _certificates(pem: bytes) -> list[x509.Certificate]:
    from cryptography import x509  # noqa: PLC0415 -- of the extra

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise KeyMaterialError(
            "The signing certificate is not one in PEM.",
            hint="It begins with -----BEGIN CERTIFICATE-----; is it the key, or DER?",
        ) from None


def _private_key(pem: bytes) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 -- of the extra
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- as above

    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What it says may hold a part of the key.
        raise KeyMaterialError(
            "The signing key is not one in PEM without a password.",
            hint="Take the password off with `openssl pkcs8 -topk8 -nocrypt`, and keep the file "
            "your own.",
        ) from None


def _issue_authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    from cryptography import x509  # noqa: PLC0415 -- of the extra
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 -- as above

    name = _subject("authority for development")
    return (
        _builder(now, _AUTHORITY_DAYS)
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _issue(
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    from cryptography import x509  # noqa: PLC0415 -- of the extra
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 -- as above
    from cryptography.x509.oid import ExtendedKeyUsageOID  # noqa: PLC0415 -- as above

    return (
        _builder(now, _DAYS)
        .subject_name(_subject("signer for development"))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )


def _builder(now: datetime, days: int) -> x509.CertificateBuilder:
    from cryptography import x509  # noqa: PLC0415 -- of the extra

    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509  # noqa: PLC0415 -- of the extra

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    from cryptography import x509  # noqa: PLC0415 -- of the extra
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 -- as above

    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _name(name: x509.Name) -> str:
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 -- of the extra

    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _pem_of(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- of the extra

    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_of_key(key: PrivateKeyTypes) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 -- of the extra

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _require_cryptography() -> None:
    if find_spec("cryptography") is None:
        raise ExtraMissingError(
            "Certificates need the package cryptography, which is not installed.", hint=EXTRA_HINT
        )
