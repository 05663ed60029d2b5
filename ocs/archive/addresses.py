"""Download addresses that work without credentials, and only for a time.

A folder store's files are served by us: the address carries its end of life and a signature over what it
names. An S3 store's addresses are presigned and lead to the store itself.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import quote

from ocs.archive.models import Thumbnail, Version
from ocs.kernel.objects import ObjectStore, StoredObject
from ocs.kernel.security import Vault

Kind = Literal["version", "thumbnail"]
_PURPOSE = "archive download"
_STEPS = 48


def stored_version(version: Version) -> StoredObject | None:
    """Return where the bytes of a version are, None if they are not in our store."""
    if version.size is None:
        return None
    return StoredObject(version.path, version.key, version.md5, version.size)


def stored_thumbnail(thumbnail: Thumbnail) -> StoredObject | None:
    """Return where the bytes of a thumbnail are, None if they are not in our store."""
    if thumbnail.stored_bytes is None:
        return None
    return StoredObject(thumbnail.path, thumbnail.key, thumbnail.md5, thumbnail.stored_bytes)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Makes and checks addresses.

    Attributes
    ----------
    base_url
        Scheme and host the client used.
    lifetime_s
        How long an address lives at most.
    """

    base_url: str
    vault: Vault
    store: ObjectStore
    now_utc: datetime
    lifetime_s: int

    @property
    def _expires_s(self) -> int:
        # In steps, so that the same list has the same ETag for a while.
        step = max(1, self.lifetime_s // _STEPS)
        return int((self.now_utc.timestamp() + self.lifetime_s) // step * step)

    def of_version(self, version: Version, basename: str) -> str:
        """Return the address of a version's file, '' if we do not have it."""
        return self._of("version", version.id, stored_version(version), basename + version.extension)

    def of_thumbnail(self, thumbnail: Thumbnail) -> str:
        """Return the address of a thumbnail, '' if we do not have it."""
        name = thumbnail.basename + thumbnail.extension
        return self._of("thumbnail", thumbnail.id, stored_thumbnail(thumbnail), name)

    def _of(self, kind: Kind, identifier: int, stored: StoredObject | None, filename: str) -> str:
        if stored is None:
            return ""
        if (address := self.store.address(stored, filename, self.lifetime_s)) is not None:
            return address
        expires_s = self._expires_s
        signature = self.vault.sign(_PURPOSE, f"{kind}/{identifier}/{expires_s}")
        return (
            f"{self.base_url}/{kind}s/{identifier}/file/{quote(filename, safe='')}"
            f"?expires={expires_s}&signature={signature}"
        )


def is_valid(
    vault: Vault, now_utc: datetime, kind: Kind, identifier: int, expires_s: int, signature: str
) -> bool:
    """Tell whether the parts of an address are ours and its time is not over."""
    return now_utc.timestamp() <= expires_s and vault.verify(
        _PURPOSE, f"{kind}/{identifier}/{expires_s}", signature
    )
