"""Where a result comes from: every NetCDF file stores the spec, the code and the inputs that it was made of.

Snakemake knows that from its own records. Results that were copied without them, or mixed, are judged by what they store.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wgfpipe import recent
from wgfpipe.atomic import atomic
from wgfpipe.digests import digest_of_file as digest_of_file
from wgfpipe.digests import digest_of_spec as digest_of_spec

if TYPE_CHECKING:
    import xarray as xr

ORIGIN = "origin.json"
"""File that says of what lies beside it, figures or pages, what NetCDF files say of themselves."""


class OriginError(ValueError):
    """Files that do not come from where they should."""


class Origin(NamedTuple):
    """What a file stores of where it comes from: the spec, the fingerprint of the code, digests of the files it was made of."""

    spec: dict[str, Any]
    code: str
    inputs: dict[str, str]


def stamped(dataset: "xr.Dataset", spec: Mapping[str, Any], code: str, inputs: Mapping[str, str]) -> "xr.Dataset":
    """Add to a Dataset where it comes from."""
    from wgfpipe.results.schema import as_attributes  # a job that finds all made loads no xarray

    origin = {"wgfpipe_spec": dict(spec), "wgfpipe_code": code, "wgfpipe_inputs": dict(inputs), "seed": spec.get("seed", 0)}
    dataset.attrs.update(as_attributes(origin))
    return dataset


def stored(path: str | Path) -> Origin:
    """Read where a file says that it comes from.

    Raises
    ------
    OriginError
        If the file cannot be read, or is none of the pipeline: empty, cut, foreign.
    """
    try:
        texts = _texts(Path(path))
        origin = Origin(json.loads(texts["spec"]), texts["code"], json.loads(texts["inputs"]))
    except (OSError, RuntimeError) as error:  # RuntimeError: what the library says of a broken HDF5 file
        raise OriginError(f"damaged, delete it ({getattr(error, 'strerror', None) or error})") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise OriginError("no file of this pipeline, delete it") from None
    if not (isinstance(origin.spec, dict) and isinstance(origin.inputs, dict)):
        raise OriginError("no file of this pipeline, delete it")
    return origin


def written_beside(path: str | Path, spec: Mapping[str, Any], code: str, inputs: Mapping[str, str]) -> None:
    """Write where files come from that cannot say so themselves, into one that lies beside them."""
    with atomic(path) as part:
        part.write_text(json.dumps(origin_of(spec, code, inputs), indent=1) + "\n", encoding="utf-8")


def origin_of(spec: Mapping[str, Any], code: str, inputs: Mapping[str, str]) -> dict[str, str]:
    """What a file that is no NetCDF says of where it comes from."""
    return {"wgfpipe_spec": json.dumps(spec, sort_keys=True), "wgfpipe_code": code, "wgfpipe_inputs": json.dumps(inputs)}


def _texts(path: Path) -> dict[str, str]:
    """What a file says, as it is written there."""
    from netCDF4 import Dataset

    names = {name: f"wgfpipe_{name}" for name in Origin._fields}
    if path.suffix == ".json":
        said = json.loads(path.read_text(encoding="utf-8"))
        return {name: said[key] for name, key in names.items()}
    kept = recent.content_of(path)
    if kept is not None:
        return {name: str(kept[1].attrs[key]) for name, key in names.items()}
    with Dataset(path) as file:
        return {name: str(file.getncattr(key)) for name, key in names.items()}


def objections(path: str | Path, spec_digest: str, inputs: Mapping[str, str]) -> str:
    """Say why a file is not what was planned, or nothing: it is unreadable, or was made by another spec or of other files.

    Parameters
    ----------
    path : path
    spec_digest : str
        Digest of the spec it should be made by.
    inputs : mapping
        Digests of the files that it should be made of, as they are now.
    """
    try:
        found = stored(path)
    except OriginError as error:
        return str(error)
    if digest_of_spec(found.spec) != spec_digest:
        return "made by another config"
    return made_of_others(found.inputs, inputs)


def made_of_others(found: Mapping[str, str], inputs: Mapping[str, str]) -> str:
    """Say of which files, other than those that are there now, something was made, if so: digests then and now."""
    others = sorted(name for name in inputs if found.get(name) != inputs[name])
    return f"made of another {', '.join(others)}" if others else ""


MIXED = "results of other runs are mixed with those of this config; delete them and run again:\n  {}"


def refuse_others(wanted: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
    """Refuse files of other runs: path -> digest of the spec it should be made by, and of the files it should be made of."""
    if found := foreign(wanted):
        raise OriginError(MIXED.format("\n  ".join(found)))


def foreign(wanted: Mapping[str, tuple[str, Mapping[str, str]]]) -> list[str]:
    """Files of other runs, with what is wrong with each."""
    found = {path: objections(path, *origin) for path, origin in wanted.items()}
    return [f"{path}: {reason}" for path, reason in found.items() if reason]
