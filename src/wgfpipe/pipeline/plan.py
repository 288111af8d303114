"""What a run makes: every file with the stage that makes it, its spec, its code and the files it is made of; and the jobs.

A plan is computed once, from the config and the sources, by the process that starts a run. It is then written beside
Snakemake's records, and jobs read of it what they make. So a job does not load the experiment, which takes seconds where there
are thousands of cells, and an edit during a run changes the next run and not this one.

A *job* makes the files of one stage of one cell, or, as a *batch*, all files of some cells in one process: an interpreter that
starts and loads its packages takes two seconds, and many stages take less.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, ValuesView
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from wgfpipe.digests import digest_of_spec
from wgfpipe.report.catalogue import CATALOGUE


class Expected(NamedTuple):
    """A file that an experiment has: where, by which stage and spec, and of which files.

    ``inputs`` are the files whose content it depends on, by the names under which it stores their digests; ``beside`` are
    those that the stage reads as well. ``code`` is the fingerprint of what makes it. What is made of many cells has no
    ``cell``.
    """

    path: Path
    stage: str
    spec: Mapping[str, Any]
    code: str
    inputs: Mapping[str, Path]
    beside: Mapping[str, Path]
    cell: str

    @property
    def digest(self) -> str:
        """What making it depends on, beside the files it is made of."""
        return f"{digest_of_spec(self.spec)} {self.code}"


def below(file: Expected, folder: str, suffix: str) -> Path:
    """Where what belongs to a file lies, a log or a benchmark: its path, below a folder of the results."""
    depth = {"run_method": 3, "figures": 3, "summary": 1}.get(file.stage, 2)
    results, inner = Path(*file.path.parts[:-depth]), list(file.path.parts[-depth:])
    if file.stage in ("figures", "report"):
        inner.pop()  # what says where they come from stands for its folder
    if folder == "checkpoints":
        inner.remove("trajectory")
    return Path(results, folder, *inner).with_name(f"{inner[-1].removesuffix(file.path.suffix)}{suffix}")


def companions(file: Expected) -> tuple[Path, ...]:
    """What a stage writes beside the file that says where it comes from."""
    folder = file.path.parent
    match file.stage:
        case "figures":
            pictures = [folder / f"{name}.{kind}" for name in CATALOGUE for kind in ("svg", "png")]
            return (*pictures, folder / "flow.gif", folder / "figures.pdf")
        case "comparison":
            return tuple(file.path.with_suffix(f".{kind}") for kind in DRAWN)
        case "summary":
            return folder / "summary.csv", folder / "verdict.json"
        case "report":
            return folder.with_suffix(".html"), folder / "index.html"
    return ()


class Size(NamedTuple):
    """Points and samples of a cell; methods multiply the time of its stages, and repetitions that of its trajectories."""

    points: int
    samples: int
    methods: int
    repetitions: int


class Resources(NamedTuple):
    """Memory in MB and time in minutes, as Snakemake's ``mem_mb`` and ``runtime`` count them."""

    mem_mb: int
    runtime: int


DRAWN = ("svg", "png", "pdf")
"""Kinds of pictures of a comparison; the figures of a cell are in one PDF."""

FEW = ("figures", "comparison", "summary", "report")
"""Stages of which a large sweep has few files."""


class Plan:
    """The files of an experiment, and the batches that make some of them.

    Parameters
    ----------
    files : mapping
        Path -> file, what a file is made of before it.
    jobs : mapping
        Batch -> paths of its files, in that order.
    batch_of : mapping
        Cell -> its batch, of those that have one.
    sizes : mapping
        Cell -> how large it is, which is what its jobs ask a cluster for.
    asks : mapping
        Batch -> what it asks a cluster for.
    told : mapping
        What is known of the experiment beside: its ``root`` and ``notes``, and ``shares``, sweep -> batches and cells.
    stages : mapping, optional
        Stage of FEW -> paths of its files, in that order; found unless given.
    """

    def __init__(
        self,
        files: Mapping[str, Expected],
        jobs: Mapping[str, list[str]],
        batch_of: Mapping[str, str],
        sizes: Mapping[str, Size],
        asks: Mapping[str, Resources],
        told: Mapping[str, Any],
        stages: Mapping[str, list[str]] | None = None,
    ) -> None:
        self.files, self.jobs, self.batch_of, self.sizes, self.told = files, jobs, batch_of, sizes, told
        self.asks = asks
        if stages is None:
            stages = {stage: [path for path, file in files.items() if file.stage == stage] for stage in FEW}
        self.stages = stages

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Read a plan that was saved; its files are read one by one, when asked for."""
        index = json.loads((folder / "index.json").read_bytes())
        sizes = {cell: Size(*numbers) for cell, numbers in index["sizes"].items()}
        files = _Lines(folder / "files.jsonl", index["files"])
        asks = {batch: Resources(*numbers) for batch, numbers in index["asks"].items()}
        return cls(files, index["jobs"], index["batch_of"], sizes, asks, index["told"], index["stages"])

    @cached_property
    def records(self) -> dict[str, str]:
        """File that a batch makes -> the record of the batch."""
        return {path: record_of(name) for name, paths in self.jobs.items() for path in paths}

    def of_stage(self, stage: str) -> list[Expected]:
        """Files of one of the stages of FEW."""
        return [self.files[path] for path in self.stages[stage]]

    def made_by(self, path: str) -> str:
        """File by which Snakemake knows that another one is there: the record of its batch, or the file itself."""
        if path in self.stages["report"]:
            return str(Path(path).parent.with_suffix(".html"))
        return self.records.get(path, path)

    def save(self, folder: Path) -> Path:
        """Write what jobs read, into a folder that its content names, so that plans of other runs stay.

        Returns
        -------
        Path
            The folder, absolute.
        """
        lines, index, at = [], {}, 0
        for path, file in self.files.items():
            inputs, beside = ({name: str(of) for name, of in named.items()} for named in (file.inputs, file.beside))
            line = json.dumps([file.stage, file.spec, file.code, inputs, beside, file.cell]).encode() + b"\n"
            index[path] = [at, len(line)]
            lines.append(line)
            at += len(line)
        parts = {"files": index, "jobs": self.jobs, "batch_of": self.batch_of, "sizes": self.sizes, "told": self.told}
        parts |= {"asks": self.asks, "stages": self.stages}
        heading = json.dumps(parts).encode()
        digest = hashlib.sha256(heading)
        for line in lines:
            digest.update(line)
        place = (folder / digest.hexdigest()[:16]).absolute()
        if not (place / "index.json").exists():
            place.mkdir(parents=True, exist_ok=True)
            for name, parts in (("files.jsonl", lines), ("index.json", [heading])):
                part = place / f"{name}.part"
                with part.open("wb") as stream:
                    stream.writelines(parts)
                part.replace(place / name)
        return place


class _Lines(Mapping[str, Expected]):
    """Files of a saved plan."""

    def __init__(self, path: Path, index: Mapping[str, list[int]]) -> None:
        self.path, self.index = path, index

    @cached_property
    def text(self) -> bytes:
        """What is in the file: tens of thousands of lines are asked for, some 500 bytes each."""
        return self.path.read_bytes()

    def __getitem__(self, path: str) -> Expected:
        at, length = self.index[path]
        return _read(path, self.text[at : at + length])

    def values(self) -> ValuesView[Expected]:
        """All files, one after the other, as they stand in the file."""
        return _Values(self)

    def __iter__(self) -> Iterator[str]:
        return iter(self.index)

    def __len__(self) -> int:
        return len(self.index)


class _Values(ValuesView[Expected]):
    """Files of a saved plan in their order; none is kept."""

    _mapping: _Lines

    def __iter__(self) -> Iterator[Expected]:
        with self._mapping.path.open("rb") as stream:
            for path, line in zip(self._mapping.index, stream, strict=True):
                yield _read(path, line)


def _read(path: str, line: bytes) -> Expected:
    """A file of a saved plan from its line."""
    stage, spec, code, inputs, beside, cell = json.loads(line)
    where = [{name: Path(of) for name, of in named.items()} for named in (inputs, beside)]
    return Expected(Path(path), stage, spec, code, where[0], where[1], cell)


def record_of(batch: str) -> str:
    """File that a batch leaves: what it made, and digests of it."""
    return f"results/batches/{batch}.json"
