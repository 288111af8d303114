"""Real data from a comma-separated file with a header line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wgfpipe.datasets.base import DataError, Dataset
from wgfpipe.measure import Array


class CSV(Dataset):
    """Columns of a CSV file."""

    kind: Literal["csv"] = "csv"
    path: str = Field(description="the file, relative to the Snakefile's folder or absolute")
    x: tuple[str, ...] = Field(min_length=1, description="feature columns")
    y: str = Field(description="label column")
    standardize: bool = Field(default=True, description="shift and scale every column to mean 0 and standard deviation 1")
    subsample: int | None = Field(default=None, ge=2, description="use this many rows, drawn without replacement with the seed")
    citation: str | None = Field(default=None, description="work to cite for the data; the report lists it")
    title: ClassVar[str] = "CSV file"
    example: ClassVar[Mapping[str, Any]] = {"path": "example.csv", "x": ("width", "height"), "y": "price", "subsample": 4}
    example_source: ClassVar[str] = "width,height,price\n1,3,2\n2,1,4\n4,2,3\n3,5,9\n5,4,1\n6,8,5\n7,6,8\n8,7,6\n"

    @property
    def citations(self) -> tuple[str, ...]:
        return () if self.citation is None else (self.citation,)

    @property
    def dimension(self) -> int:
        return len(self.x)

    @property
    def source(self) -> str | None:
        return self.path

    def generate(self, rng: np.random.Generator, source: Path | None = None) -> tuple[Array, Array]:
        table = self._read(Path(self.path) if source is None else source)
        if self.subsample is not None:
            if self.subsample > len(table):
                raise DataError("subsample", self.subsample, f"at most the {len(table)} rows of {self.path}")
            table = table[np.sort(rng.choice(len(table), self.subsample, replace=False))]
        if self.standardize:
            spread = table.std(axis=0)
            for column, value in zip((*self.x, self.y), spread, strict=True):
                if value == 0.0:
                    raise DataError("standardize", True, f"columns that vary; {column!r} of {self.path} is constant")
            table = (table - table.mean(axis=0)) / spread
        table = table[np.lexsort(table.T[::-1])]  # by the first feature: the order of rows is no part of the problem
        return table[:, :-1], table[:, -1]

    def _read(self, path: Path) -> Array:
        import pandas as pd

        try:
            frame = pd.read_csv(path, skipinitialspace=True)
        except FileNotFoundError:
            raise DataError("path", self.path, "an existing file (paths are relative to the Snakefile's folder)") from None
        except OSError as error:
            raise DataError("path", self.path, f"a file that can be read ({error.strerror})") from None
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise DataError("path", self.path, f"a comma-separated file with a header line ({reason})") from None
        for key, columns in (("x", self.x), ("y", (self.y,))):
            for column in columns:
                if column not in frame.columns:
                    raise DataError(key, column, f"a column of {self.path}: {', '.join(map(str, frame.columns))}")
                numbers = np.asarray(pd.to_numeric(frame[column], errors="coerce"), float)
                bad = np.flatnonzero(~np.isfinite(numbers))
                if len(bad):
                    entry = frame[column].iloc[bad[0]]
                    text = "nothing" if pd.isna(entry) else repr(str(entry))
                    written = [
                        k for k, line in enumerate(path.read_text().splitlines(), 1) if line.strip()
                    ]  # pandas skips blank ones
                    count = "1 such line" if len(bad) == 1 else f"{len(bad)} such lines"
                    raise DataError(
                        key,
                        column,
                        f"a column of finite numbers; line {written[bad[0] + 1]} of {self.path} holds {text} ({count}): "
                        "drop or fill them first",
                    )
        if len(frame) < 2:
            raise DataError("path", self.path, f"at least 2 rows of data, the file has {len(frame)}")
        return frame[[*self.x, self.y]].to_numpy(float)
