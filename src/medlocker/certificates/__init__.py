"""Keys, sealed records, signed statements, grants, and the owner's ledger: the only users of cryptography."""

from medlocker.certificates._access import Access, open_secret, owner_access
from medlocker.certificates._age import Identity, Recipient, seal, unseal
from medlocker.certificates._assemble import assemble
from medlocker.certificates._companionrecord import CompanionRecord, open_companion, seal_companion
from medlocker.certificates._companions import CompanionEntry, CompanionKind, CompanionLine, unproved_names
from medlocker.certificates._contentcredentials import (
    CREDENTIALS_ENDING,
    ContentCredentials,
    FoundCredentials,
    find_content_credentials,
    need_content_credentials,
    owner_certificate,
)
from medlocker.certificates._dsse import check_statement, sign_statement
from medlocker.certificates._grants import NOTICE, Grant, open_grant, read_grant, write_grant
from medlocker.certificates._index import (
    MAX_SHARD_BYTES,
    SHARD_SIZE,
    IndexEntry,
    IndexLine,
    index_name,
    parse_shard,
    sha256_file,
)
from medlocker.certificates._keys import (
    AGE_KEY,
    AGE_PUB,
    SIGN_KEY,
    SIGN_PUB,
    Owner,
    OwnerPaths,
    load_identity,
    load_owner,
    load_recipient,
    load_signing_key,
    load_verify_key,
    new_owner,
)
from medlocker.certificates._ledger import Ledger, ledger_path
from medlocker.certificates._ownergrant import open_owner_grant, seal_owner_grant, write_owner_grant
from medlocker.certificates._ranges import to_ranges
from medlocker.certificates._record import SealedRecord, open_record, seal_record
from medlocker.certificates._release import (
    Release,
    check_binding,
    open_release,
    refuse_inside_release,
    trust_failed,
)
from medlocker.certificates._secret import ReleaseSecret
from medlocker.certificates._signedlines import check_line, sign_line
from medlocker.certificates._signing import SigningKey, VerifyKey
from medlocker.certificates._statement import PROMISE, ModelFact, PublicFacts, Statement, utc_now
from medlocker.certificates._verify import FileProblems, VerifyReport, verify_release

__all__ = [
    "AGE_KEY",
    "AGE_PUB",
    "CREDENTIALS_ENDING",
    "MAX_SHARD_BYTES",
    "NOTICE",
    "PROMISE",
    "SHARD_SIZE",
    "SIGN_KEY",
    "SIGN_PUB",
    "Access",
    "CompanionEntry",
    "CompanionKind",
    "CompanionLine",
    "CompanionRecord",
    "ContentCredentials",
    "FileProblems",
    "FoundCredentials",
    "Grant",
    "Identity",
    "IndexEntry",
    "IndexLine",
    "Ledger",
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
    "VerifyReport",
    "assemble",
    "check_binding",
    "check_line",
    "check_statement",
    "find_content_credentials",
    "index_name",
    "ledger_path",
    "load_identity",
    "load_owner",
    "load_recipient",
    "load_signing_key",
    "load_verify_key",
    "need_content_credentials",
    "new_owner",
    "open_companion",
    "open_grant",
    "open_owner_grant",
    "open_record",
    "open_release",
    "open_secret",
    "owner_access",
    "owner_certificate",
    "parse_shard",
    "read_grant",
    "refuse_inside_release",
    "seal",
    "seal_companion",
    "seal_owner_grant",
    "seal_record",
    "sha256_file",
    "sign_line",
    "sign_statement",
    "to_ranges",
    "trust_failed",
    "unproved_names",
    "unseal",
    "utc_now",
    "verify_release",
    "write_grant",
    "write_owner_grant",
]
