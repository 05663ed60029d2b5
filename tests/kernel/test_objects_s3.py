"""The S3 store against a real S3 service (OpenStack Swift, started for this file)."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aioboto3
import httpx
import pytest
import pytest_asyncio

from ocs.kernel.objects import ObjectChanged, S3Store
from tests.support.s3 import S3Service, running_s3

BUCKET = "frames"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    with running_s3(tmp_path_factory.mktemp("s3")) as service:
        yield service


@pytest.fixture
def environment(s3: S3Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


@pytest_asyncio.fixture
async def client(environment: None) -> AsyncIterator[Any]:
    async with aioboto3.Session().client("s3") as client:
        yield client


@pytest_asyncio.fixture
async def store(client: Any) -> AsyncIterator[S3Store]:
    await client.create_bucket(Bucket=BUCKET)
    await client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    store = await S3Store.open(BUCKET)
    yield store
    await store.close()
    versions = await client.list_object_versions(Bucket=BUCKET)
    for version in [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]:
        await client.delete_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
    await client.delete_bucket(Bucket=BUCKET)


def source(tmp_path: Path, content: bytes) -> tuple[Path, str]:
    file = tmp_path / "source"
    file.write_bytes(content)
    return file, hashlib.md5(content).hexdigest()


async def content_of(store: S3Store, stored: Any) -> bytes:
    return b"".join([block async for block in store.read(stored)])


async def test_A35_every_version_keeps_its_bytes_and_its_address(store: S3Store, tmp_path: Path) -> None:
    kept = []
    for content in (b"first" * 100_000, b"second" * 100_000):
        file, md5 = source(tmp_path, content)
        kept.append((await store.put("tst/a 1+ä.fits", file, md5=md5, content_type="image/fits"), content))
    assert kept[0][0].key != kept[1][0].key
    for stored, content in kept:
        assert await store.exists(stored)
        assert await content_of(store, stored) == content
        url = store.address(stored, "a1.fits", 172_800)
        assert url is not None
        assert httpx.URL(url).params["X-Amz-Expires"] == "172800"
        assert httpx.URL(url).params["versionId"] == stored.key
        async with httpx.AsyncClient() as anybody:
            assert (await anybody.get(url)).content == content
            assert (await anybody.get(url.replace("Signature=", "Signature=0"))).status_code == 403
    await store.delete(kept[0][0])
    assert not await store.exists(kept[0][0])
    assert await content_of(store, kept[1][0]) == kept[1][1]


async def test_a_file_that_changed_on_the_way_is_not_kept(store: S3Store, tmp_path: Path) -> None:
    file, _ = source(tmp_path, b"content")
    with pytest.raises(ObjectChanged):
        await store.put("tst/a1.fits", file, md5="0" * 32, content_type="image/fits")


async def test_what_a_client_put_itself_is_taken_over(store: S3Store, client: Any) -> None:
    answer = await client.put_object(Bucket=BUCKET, Key="tst/a1.fits", Body=b"content")
    md5 = hashlib.md5(b"content").hexdigest()
    stored = await store.adopt("tst/a1.fits", answer["VersionId"], md5)
    assert stored is not None
    assert (stored.size, await content_of(store, stored)) == (7, b"content")
    assert await store.adopt("tst/other.fits", answer["VersionId"], md5) is None
    assert await store.adopt("tst/a1.fits", "no such version", md5) is None
    with pytest.raises(ObjectChanged):
        await store.adopt("tst/a1.fits", answer["VersionId"], "0" * 32)


async def test_unknown_versions_are_listed_and_left(store: S3Store, tmp_path: Path) -> None:
    stored = []
    for content in (b"known", b"unknown"):
        file, md5 = source(tmp_path, content)
        stored.append(await store.put(content.decode(), file, md5=md5, content_type="image/fits"))

    async def known(md5s: list[str]) -> set[str]:
        return {stored[0].md5} & set(md5s)

    done = await store.clean(known, older_than_s=-60)
    assert (done.removed, done.strangers) == (0, [f"unknown?versionId={stored[1].key}"])


async def test_a_bucket_without_versions_is_refused(client: Any) -> None:
    await client.create_bucket(Bucket="plain")
    store = await S3Store.open("plain")
    with pytest.raises(OSError, match="keeps no versions"):
        await store.check()
    await store.close()
    missing = await S3Store.open("missing")
    with pytest.raises(OSError, match="S3"):
        await missing.check()
    await missing.close()
