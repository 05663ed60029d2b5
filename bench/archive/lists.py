"""Lists of a large archive: python -m bench.archive.lists [FRAMES]

Fills an embedded Postgres in a temporary folder with frames (one version and four relations each) and prints,
for each kind of list, the best of three times and the number of SQL statements.
"""

import asyncio
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import orjson

from ocs.archive import sky
from ocs.archive.models import Frame
from ocs.kernel.clock import Clock
from ocs.kernel.datafolder import DataFolder
from ocs.kernel.postgres import EmbeddedPostgres
from tests.support.app import migrate, running_app

START = datetime(2022, 1, 1, tzinfo=UTC)
QUERIES = (
    "limit=100",
    "limit=100&include_related_frames=false",
    "limit=1000",
    "limit=1000&include_related_frames=false",
    "limit=100&include_thumbnails=true",
    "limit=100&basename=0123456",
    "limit=100&target_name=sn2023",
    "limit=100&target_name=nosuch",
    "limit=100&submitter=user7",
    "limit=100&ordering=exposure_time",
    "limit=100&offset=150000",
    "limit=100&pagination_style=cursor",
    "request_id=1234",
    "proposal_id=Prop7&limit=100",
    "covers=POINT(150 2.2)",
    "start=2022-03-01&end=2022-03-02",
)


def rows(number: int) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], list[tuple[int, int]]]:
    chance = random.Random(42)
    frames, versions, related = [], [], []
    for i in range(1, number + 1):
        date = START + timedelta(seconds=i * 730 * 86400 / number)
        site = chance.choice(["tst", "sou", "cpt", "lsc", "ogg"])
        instrument = f"fa{chance.randint(1, 9):02d}"
        ra, dec = chance.uniform(1, 359), chance.uniform(-65, 65)
        ring = [[ra - 0.2, dec - 0.2], [ra + 0.2, dec - 0.2], [ra + 0.2, dec + 0.2], [ra - 0.2, dec + 0.2]]
        ring.append(ring[0])
        xy, yz = sky.boxes(sky.unit_vectors(ring))
        frames.append(
            (
                *(i, f"{site}1m0a-{instrument}-{date:%Y%m%d}-{i:07d}-e00", date, date.date()),
                *(
                    f"Prop{chance.randint(1, 60)}",
                    instrument,
                    chance.choice(["M31", "NGC 1", "SN2023abc", "TOI-1"]),
                ),
                *(chance.choice([0, 0, 91]), site, "1m0a", chance.choice([1, 10, 30, 300]) + chance.random()),
                *("rp", START, "EXPOSE", i // 4 + 1, i // 20 + 1, f"user{chance.randint(1, 500)}"),
                *(
                    orjson.dumps({"type": "Polygon", "coordinates": [ring]}).decode(),
                    xy,
                    yz,
                    True,
                    date,
                    date,
                ),
            )
        )
        versions.append((i, f"{i:032x}", f"{i:032x}", ".fits.fz", f"p/{i}", 1, date))
        related += [(i, (i + step - 1) % number + 1) for step in (1, 2, -1, -2)]
    return frames, versions, related


async def fill(url: str, number: int) -> None:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"))
    frames, versions, related = rows(number)
    columns = [column.key for column in Frame.__table__.columns]
    await connection.copy_records_to_table("frame", records=frames, columns=columns, schema_name="archive")
    columns = ["frame_id", "key", "md5", "extension", "path", "size", "created"]
    await connection.copy_records_to_table(
        "version", records=versions, columns=columns, schema_name="archive"
    )
    columns = ["frame_id", "related_id"]
    await connection.copy_records_to_table("related", records=related, columns=columns, schema_name="archive")
    await connection.execute("VACUUM ANALYZE archive.frame, archive.version, archive.related")
    await connection.close()


async def main(number: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        data = DataFolder(Path(name) / "data")
        async with data.own("bench"), EmbeddedPostgres(data.path, log=lambda _: None) as postgres:
            await migrate(postgres.dsn)
            await fill(postgres.dsn, number)
            async with running_app(postgres.dsn, data.path, Clock()) as app, app.client() as client:
                for query in QUERIES:
                    times_s = []
                    for _ in range(3):
                        with app.statements() as statements:
                            started_s = time.perf_counter()
                            answer = await client.get(f"/frames/?{query}")
                            times_s.append(time.perf_counter() - started_s)
                    body = answer.json()
                    print(
                        f"{min(times_s) * 1000:7.0f} ms {len(statements)} statements "
                        f"{len(body['results']):5d} rows, count {body.get('count')}  {query}"
                    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
