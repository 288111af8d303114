"""Real data from a text file of separated columns with a header line."""

import bz2
import csv
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, field_validator

from wgfpipe.datasets.base import DataError, Dataset, Samples
from wgfpipe.measure import Array

ROUNDINGS = 64.0
"""Units in the last place of a column's largest value by which equal values may differ that were computed as sums of some
twenty terms, or written with a digit too few: a column that spreads less says nothing."""

_NAMED = {"\\t": "\t", "tab": "\t", "whitespace": " "}
_SEPARATORS = {";": "';'", "\t": "tab", "|": "'|'", " ": "whitespace", ",": "','"}
_COMPRESSED = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}
"""First bytes of a compressed file -> what makes them text."""


class _Table(NamedTuple):
    """Header and rows of a file, and the line each row begins on."""

    header: list[str]
    rows: list[list[str]]
    lines: list[int]


class CSV(Dataset):
    """Columns of a CSV file."""

    kind: Literal["csv"] = "csv"
    path: str = Field(description="the file, relative to the folder of the config or absolute; gz, bz2 and xz are read")
    x: tuple[str, ...] = Field(min_length=1, description="feature columns")
    y: str = Field(description="label column")
    separator: str = Field(default=",", description="what stands between columns: a character, tab, or whitespace")
    decimal: Literal[".", ","] = Field(default=".", description="decimal point of the numbers")
    standardize: bool = Field(default=True, description="shift and scale every column to mean 0 and standard deviation 1")
    classes: tuple[str, str] | None = Field(
        default=None, description="entries of the label column that become labels -1 and 1, which are not standardized"
    )
    subsample: int | None = Field(default=None, ge=2, description="use this many rows, drawn without replacement with the seed")
    citation: str | None = Field(default=None, description="work to cite for the data; the report lists it")
    title: ClassVar[str] = "CSV file"
    example: ClassVar[Mapping[str, Any]] = {"path": "example.csv", "x": ("width", "height"), "y": "price", "subsample": 4}
    example_source: ClassVar[str] = "width,height,price\n1,3,2\n2,1,4\n4,2,3\n3,5,9\n5,4,1\n6,8,5\n7,6,8\n8,7,6\n"

    @field_validator("separator")
    @classmethod
    def _separates(cls, value: str) -> str:
        value = _NAMED.get(value, value)
        if len(value) != 1 or value.isalnum() or value in '"\r\n.+-':
            raise ValueError("expected one character that is no letter, digit, point, sign or quote; or tab, or whitespace")
        return value

    @field_validator("classes", mode="before")
    @classmethod
    def _two_entries(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        # YAML reads 0 and true as what they are, and a file holds their text.
        entries = tuple(str(entry).lower() if isinstance(entry, bool) else str(entry) for entry in value)
        if len(set(entries)) == 1:
            raise ValueError(f"expected two entries that differ, got {entries[0]!r} twice")
        return entries

    @property
    def citations(self) -> tuple[str, ...]:
        return () if self.citation is None else (self.citation,)

    @property
    def dimension(self) -> int:
        return len(self.x)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.x

    @property
    def label_name(self) -> str:
        return self.y

    @property
    def source(self) -> str | None:
        return self.path

    def generate(self, rng: np.random.Generator, source: Path | None = None) -> tuple[Array, Array]:
        made = self.samples(rng, source)
        return made.inputs, made.labels

    def samples(self, rng: np.random.Generator, source: Path | None = None) -> Samples:
        columns = (*self.x, self.y)
        for k, column in enumerate(columns):
            if column in columns[:k]:
                key = "y" if k == len(self.x) else "x"
                raise DataError(key, self.y if key == "y" else list(self.x), f"every column once; {column!r} is named twice")
        table = self._numbers(self._read(Path(self.path) if source is None else source))
        if self.subsample is not None:
            if self.subsample > len(table):
                raise DataError("subsample", self.subsample, f"at most the {len(table)} rows of {self.path}")
            table = table[np.sort(rng.choice(len(table), self.subsample, replace=False))]
        shift, scale = np.zeros(len(columns)), np.ones(len(columns))
        if self.classes is not None and np.ptp(table[:, -1]) == 0.0:
            only = self.classes[int(table[0, -1] > 0.0)]
            raise DataError("classes", list(self.classes), f"rows of both classes; all {len(table)} are {only!r}")
        if self.standardize:
            counted = len(self.x) if self.classes is not None else len(columns)  # labels of classes stay -1 and 1
            numbers = table[:, :counted]
            # Powers of two near the largest values: exact to divide by, and squares do not overflow.
            size = np.exp2(np.frexp(np.abs(numbers).max(axis=0))[1] - 1.0)
            mean, spread = (numbers / size).mean(axis=0), (numbers / size).std(axis=0)
            for column, varies in zip(columns, spread > ROUNDINGS * np.finfo(float).eps, strict=False):
                if not varies:
                    raise DataError("standardize", True, f"columns that vary; {column!r} of {self.path} is constant")
            table = np.column_stack([(numbers / size - mean) / spread, table[:, counted:]])
            shift[:counted], scale[:counted] = mean * size, spread * size
        table = table[np.lexsort(table.T[::-1])]  # by the first feature: the order of rows is no part of the problem
        return Samples(table[:, :-1], table[:, -1], shift, scale)

    def _read(self, path: Path) -> _Table:
        """Read the file; line numbers are those an editor shows."""
        try:
            content = path.read_bytes()
            for start, decompress in _COMPRESSED.items():
                if content.startswith(start):
                    content = decompress(content)
            text = content.decode("utf-8-sig")
        except FileNotFoundError:
            raise DataError(
                "path", self.path, "an existing file (paths are relative to the folder of the config file)"
            ) from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise DataError("path", self.path, f"text in UTF-8, and line {line} is none: save the file in UTF-8") from None
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise DataError("path", self.path, f"a file that can be read ({reason})") from None
        if "\0" in text:
            raise DataError("path", self.path, "text in UTF-8, and this file is binary or in another encoding")
        rows, lines = [], []
        try:
            for line, row in self._records(text):
                rows.append(row)
                lines.append(line)
        except csv.Error as error:
            raise DataError("path", self.path, f"separated columns with a header line ({error})") from None
        if not rows:
            raise DataError("path", self.path, "separated columns with a header line, and this file is empty")
        return _Table([name.strip() for name in rows[0]], rows[1:], lines[1:])

    def _records(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Rows that are not blank, and the line each begins on; a quoted field may go over several."""
        stream: Iterator[str] = io.StringIO(text, newline="")
        if self.separator == " ":
            stream = (re.sub(r"[ \t]+", " ", line.strip(" \t")) for line in stream)
        reader = csv.reader(stream, delimiter=self.separator, skipinitialspace=True, strict=True)
        before = 0
        for row in reader:
            if any(field.strip() for field in row) or len(row) > 1:
                yield before + 1, row
            before = reader.line_num

    def _numbers(self, table: _Table) -> Array:
        """Return the columns as numbers, (row, column): the features and the label."""
        header, n_fields = table.header, len(table.header)
        for key, columns in (("x", self.x), ("y", (self.y,))):
            for column in columns:
                if column not in header:
                    raise DataError(key, column, f"a column of {self.path}: {', '.join(header)}{self._other_separator(header)}")
                if header.count(column) > 1:
                    raise DataError(key, column, f"the name of one column; {header.count(column)} of {self.path} have it")
        for row, line in zip(table.rows, table.lines, strict=True):
            # A separator may end a row without beginning another column.
            if len(row) < n_fields or any(field.strip() for field in row[n_fields:]):
                count = f"{len(row)} fields in line {line} where the header has {n_fields}"
                hint = ": numbers with decimal commas need another separator, or quotes" if self.separator == "," else ""
                raise DataError("path", self.path, f"rows as long as the header, and found {count}{hint}")
        if len(table.rows) < 2:
            raise DataError("path", self.path, f"at least 2 rows of data, the file has {len(table.rows)}")
        places = [header.index(column) for column in (*self.x, self.y)]
        return np.array([self._column(table, place, k) for k, place in enumerate(places)]).T

    def _column(self, table: _Table, place: int, k: int) -> list[float]:
        """Return a column of the file as numbers, the k-th that is asked for."""
        point = re.escape(self.decimal)
        pattern = re.compile(rf"[-+]?(\d+({point}\d*)?|{point}\d+)([eE][-+]?\d+)?", re.ASCII)
        fields = [row[place].strip() for row in table.rows]
        if self.classes is not None and k == len(self.x):
            return self._signs(table, fields)
        numbers = [float(field.replace(self.decimal, ".")) if pattern.fullmatch(field) else np.nan for field in fields]
        bad = np.flatnonzero(~np.isfinite(numbers))
        if not len(bad):
            return numbers
        entry = fields[bad[0]]
        hint = "drop or fill them first"
        if re.fullmatch(r"[-+]?[\d.]*,\d+([eE][-+]?\d+)?", entry) and self.decimal == ".":
            hint = "numbers with decimal commas need decimal: ',' (and no separators of thousands)"
        elif re.fullmatch(r"[-+]?[\d,]*\.\d+([eE][-+]?\d+)?", entry) and self.decimal == ",":
            hint = "numbers with decimal points need decimal: '.' (and no separators of thousands)"
        count = "1 such line" if len(bad) == 1 else f"{len(bad)} such lines"
        held = repr(entry) if entry else "nothing"
        where = f"line {table.lines[bad[0]]} of {self.path} holds {held} ({count})"
        key = "x" if k < len(self.x) else "y"
        raise DataError(key, (*self.x, self.y)[k], f"a column of finite numbers; {where}: {hint}")

    def _signs(self, table: _Table, fields: list[str]) -> list[float]:
        """Return the label column as -1 for the first class and 1 for the second."""
        first, second = self.classes or ("", "")
        for field, line in zip(fields, table.lines, strict=True):
            if field not in (first, second):
                where = f"line {line} of {self.path} holds {field!r}"
                raise DataError(
                    "classes", [first, second], f"the two entries of the column {self.y!r}; {where}: drop other rows first"
                )
        return [1.0 if field == second else -1.0 for field in fields]

    def _other_separator(self, header: list[str]) -> str:
        """Say which separator would find the columns that this one does not."""
        wanted = {*self.x, self.y}
        for separator, name in _SEPARATORS.items():
            if wanted <= {part.strip().strip('"') for part in self.separator.join(header).split(separator)}:
                return f"; with separator: {name} it has {', '.join(sorted(wanted))}"
        return ""
