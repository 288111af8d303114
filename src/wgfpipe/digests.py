"""Digests of files and of specs: what a result was made of, told from what is there now."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def digest_of_file(path: str | Path) -> str:
    """Digest of what is in a file: sixteen hexadecimal digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def digest_of_spec(spec: Mapping[str, Any]) -> str:
    """Digest of a spec, or of any other plain data: sixteen hexadecimal digits."""
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
