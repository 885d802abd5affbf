"""Dry run: each mail becomes a file that mail programs open. What happens while nothing is configured."""

import asyncio
import os
import tempfile
from pathlib import Path

from corral.handlers.email.message import Message, slug
from corral.handlers.email.transport import DeliveryError, Receipt


class DryRunTransport:
    """Writes `.eml` files into a folder, named after the job: a second attempt replaces the first one's file."""

    def __init__(self, folder: str | Path = "mail") -> None:
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"<files in {self.folder}>"

    async def send(self, message: Message, recipients: tuple[str, ...], key: str) -> Receipt:
        """Write the file, whole or not at all. Raises: DeliveryError when the disk will not have it."""
        path = self.folder / file_name(key)
        try:
            await asyncio.to_thread(_write, path, message.to_bytes())
        except OSError as error:
            raise DeliveryError(f"mail file {str(path)!r} cannot be written: {error.strerror}") from None
        return Receipt(f"<{message.id}>", recipients, response=str(path), dry_run=True)


def file_name(key: str) -> str:
    """The file of one job. The key tells jobs apart whose ids differ only in letters that file names may not have."""
    return "-".join(slug(part) for part in key.split("/")) + ".eml"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes a file that only we may read, and never follows a link somebody put there.
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)  # there only when something went wrong
