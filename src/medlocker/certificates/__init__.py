"""Keys, sealed records, signed statements, grants, and the owner's ledger: the only users of cryptography."""

from medlocker.certificates._access import Access, open_secret, owner_access
from medlocker.certificates._age import Identity, Recipient
from medlocker.certificates._assemble import assemble
from medlocker.certificates._index import SHARD_SIZE, IndexEntry, IndexLine, index_name
from medlocker.certificates._keys import (
    Owner,
    OwnerPaths,
    load_identity,
    load_owner,
    load_recipient,
    load_signing_key,
    load_verify_key,
    new_owner,
)
from medlocker.certificates._record import SealedRecord, open_record, seal_record
from medlocker.certificates._release import Release, check_binding, open_release, trust_failed
from medlocker.certificates._secret import ReleaseSecret, open_owner_grant, write_owner_grant
from medlocker.certificates._signing import SigningKey, VerifyKey
from medlocker.certificates._statement import PROMISE, ModelFact, PublicFacts, Statement

__all__ = [
    "PROMISE",
    "SHARD_SIZE",
    "Access",
    "Identity",
    "IndexEntry",
    "IndexLine",
    "ModelFact",
    "Owner",
    "OwnerPaths",
    "PublicFacts",
    "Recipient",
    "Release",
    "ReleaseSecret",
    "SealedRecord",
    "SigningKey",
    "Statement",
    "VerifyKey",
    "assemble",
    "check_binding",
    "index_name",
    "load_identity",
    "load_owner",
    "load_recipient",
    "load_signing_key",
    "load_verify_key",
    "new_owner",
    "open_owner_grant",
    "open_record",
    "open_release",
    "open_secret",
    "owner_access",
    "seal_record",
    "trust_failed",
    "write_owner_grant",
]
