"""Ed25519 keys that sign and check statements (RFC 8032)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from medlocker.certificates._foreign import key_errors, signature_errors


@dataclass(frozen=True)
class VerifyKey:
    """The public half: pinning it is what makes a release trusted.

    Args:
        raw: The 32 bytes of the public key.
    """

    raw: bytes

    @property
    def key_id(self) -> str:
        """SHA-256 of the 32 raw bytes, 64 hex digits."""
        return hashlib.sha256(self.raw).hexdigest()

    def check(self, signature: bytes, data: bytes, *, what: str) -> None:
        """Check a signature.

        Raises:
            SignatureError: If it is not of this key over this data.
        """
        with signature_errors(what):
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, data)

    def to_pem(self) -> bytes:
        """Return the key as SubjectPublicKeyInfo in PEM."""
        return Ed25519PublicKey.from_public_bytes(self.raw).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @classmethod
    def from_pem(cls, data: bytes, *, what: str) -> VerifyKey:
        """Read a PEM file.

        Raises:
            InputError: If it is no Ed25519 public key.
        """
        with key_errors(what):
            key = serialization.load_pem_public_key(data)
            if not isinstance(key, Ed25519PublicKey):
                raise TypeError
            return cls(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))


@dataclass(frozen=True, eq=False)
class SigningKey:
    """The private half; never shown, not even by ``repr``.

    Args:
        seed: The 32 bytes of the private key.
        notes: Warnings for the user, for instance about the file's permissions.
    """

    seed: bytes = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def public(self) -> VerifyKey:
        """The public half."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return VerifyKey(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(data)

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for a purpose, from which nothing about the key can be learnt (HKDF-SHA256)."""
        info = b"medlocker/v1/owner/" + purpose.encode("ascii")
        return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(self.seed)

    def to_pem(self) -> bytes:
        """Return the key as unencrypted PKCS8 in PEM."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def new(cls) -> SigningKey:
        """Make a new key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_pem(cls, data: bytes, *, what: str, notes: tuple[str, ...] = ()) -> SigningKey:
        """Read a PEM file.

        Raises:
            InputError: If it is no unencrypted Ed25519 private key.
        """
        with key_errors(what):
            key = serialization.load_pem_private_key(data, password=None)
            if not isinstance(key, Ed25519PrivateKey):
                raise TypeError
            return cls(key.private_bytes_raw(), notes)
