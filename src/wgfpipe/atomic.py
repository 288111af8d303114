"""Files that are whole or absent: written under another name, and renamed."""

import os
import re
from pathlib import Path


class atomic:  # noqa: N801 - reads as a verb
    """Context manager: a path to write to that becomes ``path`` when the block ends well and vanishes when it does not."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.part = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")

    def __enter__(self) -> Path:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for stale in self.path.parent.glob("*.part"):  # left by a killed run
            if re.fullmatch(re.escape(self.path.name) + r"\.\d+\.part", stale.name):
                stale.unlink(missing_ok=True)
        return self.part

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed is None:
            with self.part.open("rb+") as stream:
                os.fsync(stream.fileno())  # or a power failure may keep the new name and lose what the file holds
            self.part.replace(self.path)
        else:
            self.part.unlink(missing_ok=True)
