"""Digests of files: what a result was made of, told from what is there now."""

import hashlib
from pathlib import Path


def digest_of_file(path: str | Path) -> str:
    """Digest of what is in a file: sixteen hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
