"""Whether results on disk are those of the config and the code: their stored specs and fingerprints against today's.

Snakemake knows it from its own records in ``.snakemake``. Results that were copied without them are judged by this.
"""

import json
from pathlib import Path

from wgfpipe.config import Experiment
from wgfpipe.stages import code_of, comparison_spec, specs


def stale_files(experiment: Experiment, results: Path) -> list[str]:
    """Say of every expected NetCDF file that is missing or made by another spec or code what is wrong with it.

    Parameters
    ----------
    experiment : Experiment
        The validated config.
    results : Path
        Folder of the results.

    Returns
    -------
    list of str
        One line a file; empty if all is current.
    """
    from netCDF4 import Dataset

    wanted = []
    for cell, values in experiment.cells.items():
        parts = specs(values.resolved())
        wanted += [(results / cell / f"{stage}.nc", stage, parts[stage]) for stage in ("data", "grid", "distances")]
        for label, spec in parts["trajectory"].items():
            wanted.append((results / cell / "trajectory" / f"{label}.nc", "run_method", spec))
    for name, comparison in experiment.comparisons.items():
        members = {cell: experiment.cells[cell].resolved() for cell in comparison.cells}
        spec = comparison_spec(members, list(comparison.distances))
        wanted.append((results / "comparisons" / f"{name}.nc", "comparison", spec))
    lines = []
    for path, stage, spec in wanted:
        if not path.exists():
            lines.append(f"{path}: missing")
            continue
        with Dataset(path) as file:
            stored_spec, stored_code = json.loads(file.wgfpipe_spec), file.wgfpipe_code
        if stored_spec != json.loads(json.dumps(spec)):
            changed = sorted(key for key in spec if spec[key] != stored_spec.get(key))
            lines.append(f"{path}: made by another config ({', '.join(changed) or 'a key that is gone'} changed)")
        elif stored_code != code_of(stage, spec):
            lines.append(f"{path}: made by other code or other versions of the numerical packages")
    return lines
