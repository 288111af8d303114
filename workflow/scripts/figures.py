"""Draw the figures of a cell."""

import json
from pathlib import Path

from wgfpipe.pipeline import stages
from wgfpipe.pipeline.logs import logged

with logged(snakemake.log[0]):
    files = snakemake.input
    runs = {Path(path).name.removesuffix(".nc"): path for path in files.trajectories}
    spec, cell, folder = json.loads(snakemake.params.spec), snakemake.wildcards.cell, snakemake.params.folder
    stages.figures(spec, cell, files.data, files.grid, files.distances, runs, folder)
