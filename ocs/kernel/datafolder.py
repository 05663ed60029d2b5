"""The data folder: who owns it, whether it is a demo, and the secrets generated for it.

One process at a time owns a data folder. Ownership is a ``flock``, which the operating system releases
however the owner ends; the locked file tells the others who owns the folder and how to reach its database.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

POLL_S = 0.05

_held: set[int] = set()


def _drop_inherited_locks() -> None:
    """Close the parent's lock files in a forked child, or a surviving child would keep them locked."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_drop_inherited_locks)


class StartError(Exception):
    """Something outside the program stops the start: one sentence naming it and the remedy."""


@dataclass(frozen=True)
class Owner:
    """What the owner of a data folder tells about itself.

    Attributes
    ----------
    pid : int
        Process number, as the owner sees it.
    purpose : str
        The command, e.g. ``ocs serve``.
    is_server : bool
        Stays until it is stopped and lets others use its database; a command ends by itself.
    database_url : str or None
        SQLAlchemy URL once the database takes connections.
    """

    pid: int
    purpose: str
    is_server: bool
    database_url: str | None = None


Waiting = Callable[[Owner | None], None]


class DataFolder:
    """One data folder on the local file system.

    Parameters
    ----------
    path : Path
        The folder; it is created by the first use that needs it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None
        self._owner: Owner | None = None

    def create(self) -> None:
        """Create the folder if it is missing and check that it can be written.

        Raises
        ------
        StartError
            The folder cannot be made or written.
        """
        try:
            # Started by root, Postgres runs as another user that must be able to pass through.
            self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise StartError(
                f"The data folder {self.path} cannot be used ({error.strerror}); "
                "choose a writable one with OCS_DATA_DIR."
            ) from error

    @property
    def is_demo(self) -> bool:
        """Whether the folder was made by the demonstration."""
        return (self.path / "demo").exists()

    def mark_demo(self) -> None:
        """Mark the folder as made by the demonstration, for good."""
        self.create()
        (self.path / "demo").write_text("This data folder belongs to `ocs demo`; `ocs serve` refuses it.\n")

    def secret(self, name: str) -> str:
        """Return the named secret, generated on first use.

        Parameters
        ----------
        name : str
            File name below ``secrets/``.

        Returns
        -------
        str
            64 URL-safe characters (48 random bytes); the same for all processes, however they race.
        """
        path = self.path / "secrets" / name
        with contextlib.suppress(FileNotFoundError):
            return path.read_text()
        self.create()
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self.give_to_owner(path.parent)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{name}-") as draft:
            draft.write(secrets.token_urlsafe(48))
            draft.flush()
            os.fsync(draft.fileno())
            self.give_to_owner(draft.fileno())
            # A link appears with its content or not at all, and the first of two racing processes wins.
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)
        sync_folder(path.parent)
        return path.read_text()

    def owner(self) -> Owner | None:
        """Return who owns the folder now, or None."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._read_owner()
        finally:
            os.close(descriptor)
        return None

    @contextlib.asynccontextmanager
    async def own(
        self,
        purpose: str,
        *,
        is_server: bool = False,
        waiting: Waiting | None = None,
        server_patience_s: float = 15.0,
    ) -> AsyncIterator[None]:
        """Own the folder for the length of the block.

        Waits for a running command without limit, and for a server, which may be about to end, for a while.

        Parameters
        ----------
        purpose : str
            Told to those who wait, e.g. ``ocs serve``.
        is_server : bool
            Whether others may use the database of this owner once `publish` was called.
        waiting : callable, optional
            Called with each owner that is waited for (None while it has not told its name).
        server_patience_s : float
            How long to wait for a server to end.

        Raises
        ------
        StartError
            A server keeps the folder, or the folder cannot be used.
        """
        await self._acquire(Owner(os.getpid(), purpose, is_server), waiting, server_patience_s)
        try:
            yield
        finally:
            self._release()

    @contextlib.asynccontextmanager
    async def connect_or_own(
        self, purpose: str, *, waiting: Waiting | None = None
    ) -> AsyncIterator[Owner | None]:
        """Find the running server of this folder, or own the folder for the length of the block.

        Parameters
        ----------
        purpose, waiting
            As for `own`.

        Yields
        ------
        Owner or None
            The server, whose ``database_url`` is set; None when this process owns the folder.
        """
        server = await self._acquire(Owner(os.getpid(), purpose, is_server=False), waiting, None)
        try:
            yield server
        finally:
            self._release()

    def publish(self, database_url: str) -> None:
        """Tell other processes how to reach the database of this owner."""
        assert self._owner is not None
        self._write_owner(Owner(**(asdict(self._owner) | {"database_url": database_url})))

    def give_to_owner(self, file: Path | int) -> None:
        """Let a command run by root leave no file that the user who owns the folder cannot use."""
        if os.geteuid() == 0:
            folder = self.path.stat()
            os.chown(file, folder.st_uid, folder.st_gid)

    async def _acquire(
        self, candidate: Owner, waiting: Waiting | None, server_patience_s: float | None
    ) -> Owner | None:
        """Lock the folder; without `server_patience_s` return a server that can be used instead."""
        assert self._lock is None, "this object owns the folder already"
        self.create()
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        _held.add(descriptor)
        self.give_to_owner(descriptor)
        previous: Owner | None = None
        reported: Owner | str | None = "nobody yet"
        server_since: float | None = None
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    owner = self._read_owner()
                except OSError as error:
                    raise StartError(
                        f"The data folder {self.path} cannot be locked ({error.strerror}); "
                        "choose an OCS_DATA_DIR on a local disk."
                    ) from error
                if owner is None or not owner.is_server:
                    server_since = None
                elif server_patience_s is not None:
                    server_since = server_since or monotonic()
                    if monotonic() - server_since > server_patience_s:
                        raise StartError(
                            f"`{owner.purpose}` (process {owner.pid}) already runs on the data folder "
                            f"{self.path}; stop it or choose another folder with OCS_DATA_DIR."
                        )
                elif owner.database_url is not None and owner == previous:
                    # Seen twice, so not what a killed server left, read just as the lock was taken anew.
                    _held.discard(descriptor)
                    os.close(descriptor)
                    return owner
                if waiting is not None and owner == previous and owner != reported:
                    waiting(owner)
                    reported = owner
                previous = owner
                await asyncio.sleep(POLL_S)
        except BaseException:
            _held.discard(descriptor)
            os.close(descriptor)
            raise
        self._lock = descriptor
        self._write_owner(candidate)
        return None

    def _release(self) -> None:
        if self._lock is None:
            return
        os.ftruncate(self._lock, 0)
        _held.discard(self._lock)
        os.close(self._lock)
        self._lock = self._owner = None

    def _write_owner(self, owner: Owner) -> None:
        assert self._lock is not None
        text = json.dumps(asdict(owner)).encode()
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, text, 0)
        self._owner = owner

    def _read_owner(self) -> Owner | None:
        try:
            return Owner(**json.loads((self.path / "lock").read_bytes()))
        except (ValueError, TypeError):
            return None  # the owner is just writing


def sync_folder(path: Path) -> None:
    """Make names created in or moved into a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
