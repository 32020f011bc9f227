"""Every error the platform raises on purpose.

PlatformError
|-- ConfigurationError      settings are refused; the process must not start
|-- SchemaProblemError      something stands between this version and its schema
|   |-- WrongDatabaseError  a database of another application or environment
|   |-- SchemaError         no schema, or one older than this version needs
|   `-- MigrationLockedError  another migrator is at work
|-- PayloadError            a task's payload cannot be read; trying again will not help
|-- StorageError            a file tree did not do what was asked
|   |-- StorageUnreachableError  network or server; trying again may help
|   |   `-- StorageTimeoutError  it took longer than allowed
|   |-- StorageMissingError      the path is not there
|   `-- StorageRefusedError      not allowed: by the tree, or by APP_STORAGE_ROOTS
`-- MergeError              a merge was not carried through; the table is as before
    |-- MergeUnsupportedError    a format whose rows we cannot count
    |-- SourceChangedError       somebody wrote while we merged
    |-- RowMismatchError         the new files do not hold what the old ones held
    `-- MergeLockedError         another worker has the partition; trying again may help
"""

from __future__ import annotations


class PlatformError(Exception):
    """Root of everything raised on purpose."""


class ConfigurationError(PlatformError):
    """The settings are refused; the message lists each place and the mend."""


class SchemaProblemError(PlatformError):
    """Something stands between this version and its own schema."""


class WrongDatabaseError(SchemaProblemError):
    """The database belongs to another application or another environment."""


class SchemaError(SchemaProblemError):
    """There is no schema, or an older one than this version needs."""


class MigrationLockedError(SchemaProblemError):
    """Another migrator holds the lock."""


class PayloadError(PlatformError):
    """A task's payload cannot be read; a retry reads the same bytes."""


class StorageError(PlatformError):
    """A file tree did not do what was asked."""


class StorageUnreachableError(StorageError):
    """Network or server trouble; a later try may succeed."""


class StorageTimeoutError(StorageUnreachableError):
    """The answer, or the whole walk, took longer than allowed."""


class StorageMissingError(StorageError):
    """The path does not exist."""


class StorageRefusedError(StorageError):
    """The tree denies access, or the settings do not allow this root."""


class MergeError(PlatformError):
    """A merge was not carried through; the table holds the rows it held before."""


class MergeUnsupportedError(MergeError):
    """Files of a format whose rows cannot be counted here."""


class SourceChangedError(MergeError):
    """A source file is not the one that was planned: somebody wrote meanwhile."""


class RowMismatchError(MergeError):
    """The new files do not hold the rows and bytes of the old ones."""


class MergeLockedError(MergeError):
    """Another worker merges the same partition."""
