"""The watch folder as files: what lies in it, taking things out of it. No database, no clock."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

QUARANTINE = ".quarantine"
UNFINISHED = (".tmp", ".part", ".partial", "~")


@dataclass(frozen=True, slots=True)
class Seen:
    """State of a file; as long as it is the same, nobody has written to it."""

    size: int
    mtime_ns: int


def scan(root: Path) -> dict[str, Seen]:
    """Return the files in and below `root` by their relative path, oldest first.

    Hidden files and folders, links, and names that say "not finished" are left alone.
    """
    root.mkdir(parents=True, exist_ok=True)
    found: dict[str, Seen] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or name.endswith(UNFINISHED):
                continue
            path = _with_text_name(Path(folder, name))
            with contextlib.suppress(FileNotFoundError):
                status = path.lstat()
                if path.is_file() and not path.is_symlink():
                    relative = path.relative_to(root).as_posix()
                    found[relative] = Seen(status.st_size, status.st_mtime_ns)
    return dict(sorted(found.items(), key=lambda item: item[1].mtime_ns))


def _with_text_name(path: Path) -> Path:
    """Rename a file whose name is not UTF-8, so that it can be spoken of."""
    raw = os.fsencode(path.name)
    text = raw.decode("utf-8", "backslashreplace")
    if text == path.name:
        return path
    renamed = path.with_name(text.replace("\\", "_"))
    with contextlib.suppress(FileNotFoundError):
        path.rename(renamed)
    return renamed


def is_there(root: Path, path: str, seen: Seen) -> bool:
    """Tell whether the file is at its place, untouched."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        status = (root / path).lstat()
        return Seen(status.st_size, status.st_mtime_ns) == seen
    return False


def remove(root: Path, path: str) -> None:
    """Remove a file; a missing one is no error."""
    (root / path).unlink(missing_ok=True)


def quarantined(root: Path, identifier: int, path: str) -> Path:
    """Return where a bad file is kept."""
    return root / QUARANTINE / f"{identifier}-{path.rpartition('/')[2]}"


def put_aside(root: Path, identifier: int, path: str) -> None:
    """Move a bad file to the quarantine; a missing one is no error."""
    target = quarantined(root, identifier, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.replace(root / path, target)


def take_back(root: Path, identifier: int, path: str) -> bool:
    """Move a file from the quarantine to where it was found; False if something else is there now."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    source = quarantined(root, identifier, path)
    if target.exists() or not source.exists():
        return False
    os.rename(source, target)
    return True
