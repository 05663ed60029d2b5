"""The folder store: whole files or none, every version for ever."""

import hashlib
import os
from pathlib import Path

import pytest

from ocs.kernel.objects import FolderStore, ObjectChanged, StoredObject


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    root = tmp_path / "objects"
    root.mkdir()
    return FolderStore(root)


async def put(store: FolderStore, tmp_path: Path, content: bytes) -> StoredObject:
    file = tmp_path / "source"
    file.write_bytes(content)
    return await store.put("a/b.fits", file, md5=hashlib.md5(content).hexdigest(), content_type="image/fits")


async def read(store: FolderStore, stored: StoredObject) -> bytes:
    return b"".join([block async for block in store.read(stored)])


def files(store: FolderStore) -> list[Path]:
    return [path for path in store.root.rglob("*") if path.is_file()]


async def test_versions_keep_their_bytes(store: FolderStore, tmp_path: Path) -> None:
    contents = [b"first" * 200_000, b"", b"second"]
    kept = [await put(store, tmp_path, content) for content in contents]
    for stored, content in zip(kept, contents, strict=True):
        assert stored.size == len(content)
        assert await read(store, stored) == content


async def test_storing_the_same_bytes_again_changes_nothing(store: FolderStore, tmp_path: Path) -> None:
    first, second = await put(store, tmp_path, b"content"), await put(store, tmp_path, b"content")
    assert first == second
    assert len(files(store)) == 1


async def test_a_file_that_changed_on_the_way_leaves_nothing(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"content")
    with pytest.raises(ObjectChanged):
        await store.put("a", tmp_path / "source", md5="0" * 32, content_type="image/fits")
    assert files(store) == []


async def test_the_inbox_is_copied_not_linked(store: FolderStore) -> None:
    inbox = store.root / "a" / "b.fits"
    inbox.parent.mkdir()
    inbox.write_bytes(b"content")
    md5 = hashlib.md5(b"content").hexdigest()
    stored = await store.adopt("a/b.fits", "the key", md5)
    assert stored == StoredObject("a/b.fits", "the key", md5, 7)
    inbox.write_bytes(b"overwritten in place")
    assert await read(store, stored) == b"content"
    with pytest.raises(ObjectChanged):
        await store.adopt("a/b.fits", "k", "0" * 32)
    assert await store.adopt("a/none.fits", "k", "0" * 32) is None


async def test_links_do_not_lead_out_of_the_store(store: FolderStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    os.symlink(secret, store.root / "link")
    md5 = hashlib.md5(b"secret").hexdigest()
    for path in ("link", "../secret", str(secret)):
        assert await store.adopt(path, md5, md5) is None


async def test_deleting_spares_newer_bytes_in_the_inbox(store: FolderStore, tmp_path: Path) -> None:
    stored = await put(store, tmp_path, b"content")
    inbox = store.root / "a" / "b.fits"
    inbox.parent.mkdir()
    inbox.write_bytes(b"newer")
    await store.delete(stored)
    assert not await store.exists(stored)
    assert inbox.read_bytes() == b"newer"
    await store.delete(stored)


async def test_a_folder_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be written"):
        await FolderStore(tmp_path / "missing").check()
