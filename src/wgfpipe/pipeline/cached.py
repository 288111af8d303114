"""A plan that was made of the same config, data and code is read and not made again: thousands of cells take minutes to load.

It is kept by a digest of the config as it is written, of the data files that it names, of the sources, and of the versions of
the numerical packages.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wgfpipe.config import file as config_file
from wgfpipe.digests import digest_of_file, digest_of_spec
from wgfpipe.pipeline.batches import Shared
from wgfpipe.pipeline.provenance import versions


def plan_of_files(
    paths: Sequence[Path],
    overrides: Mapping[str, Any],
    records: Path,
    code: str,
    before: Mapping[str, Shared],
) -> Path:
    """Folder of the plan of a config that is spread over files, for the results of the current folder.

    Parameters
    ----------
    paths : sequence of Path
        Files of the config; see :func:`wgfpipe.config.load_files`.
    overrides : mapping
        What replaces their keys.
    records : Path
        Folder where plans are kept, below ``plans`` and ``planned``.
    code : str
        What names the sources.
    before : mapping
        Into how many batches a run before put the cells of a sweep.

    Raises
    ------
    ConfigError
        With every error found.
    """
    config, root = config_file.combined(paths, overrides), paths[-1].absolute().parent
    data = {str(path): digest_of_file(path) if path.is_file() else "" for path in sorted(set(_named(config, root)))}
    parts = {"config": config, "root": str(root), "code": code, "versions": versions(), "data": data}

    def known(shares: Mapping[str, Shared]) -> Path:
        shared = {sweep: list(numbers) for sweep, numbers in shares.items()}
        return records / "planned" / digest_of_spec(parts | {"shares": shared})

    with contextlib.suppress(OSError):
        place = records / "plans" / known(before).read_text(encoding="utf-8")
        os.utime(place)  # it is in use: the oldest are removed
        return place.absolute()
    from wgfpipe.atomic import atomic
    from wgfpipe.config.experiment import load
    from wgfpipe.pipeline import batches, planning

    experiment = load(config, root)
    shares = batches.shares(experiment, before, batches.seconds_of(Path("results/benchmarks"), experiment.trained))
    place = planning.plan_of(experiment, Path("results"), shares).save(records / "plans")
    for kept in (before, shares):  # the next run will find those
        with atomic(known(kept)) as part:
            part.write_text(place.name, encoding="utf-8")
    return place


def _named(value: Any, root: Path) -> Iterator[Path]:
    """Files that a config names by a key ``path``, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "path" and isinstance(inner, str):
                yield root / inner
            yield from _named(inner, root)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _named(inner, root)
