"""Measure the trajectories of a cell against the reference."""

import json
from pathlib import Path

from wgfpipe.pipeline import stages
from wgfpipe.pipeline.logs import logged

with logged(snakemake.log[0]):
    files = snakemake.input
    runs = {Path(path).name.removesuffix(".nc"): path for path in files.trajectories}
    spec, code = json.loads(snakemake.params.spec), snakemake.params.code
    stages.distances(spec, files.data, files.grid, runs, snakemake.output[0], code=code)
