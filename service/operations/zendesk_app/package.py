"""The zip that an admin uploads: the same bytes for the same files and address, wherever and whenever it is made."""

import io
import os
import secrets
import stat
import zipfile
from pathlib import Path

from service.operations.zendesk_app.contents import App

# The first instant a zip can hold.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_MODE = stat.S_IFREG | 0o644


def pack(app: App) -> bytes:
    """Return the zip; nothing in it depends on clock, time zone, machine, or the files' times and permissions."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(app.files):
            entry = zipfile.ZipInfo(path, _EPOCH)
            entry.create_system = _UNIX
            entry.external_attr = _MODE << 16
            # Not compressed: what zlib makes of the same bytes differs from version to version.
            entry.compress_type = zipfile.ZIP_STORED
            archive.writestr(entry, app.files[path])
    return packed.getvalue()


def write_whole(path: Path, content: bytes) -> None:
    """Put the content at `path`: all of it, or what was there before stays.

    Raises:
        OSError: the folder cannot be written.
    """
    target = path.resolve()
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
