"""Sum up all cells."""

import json

from wgfpipe.pipeline import stages
from wgfpipe.pipeline.logs import logged

with logged(snakemake.log[0]):
    runs = snakemake.params
    out = {"csv": snakemake.output.csv, "netcdf": snakemake.output.netcdf, "verdict": snakemake.output.verdict}
    stages.summary(json.loads(runs.spec), runs.distances, runs.trajectories, out, runs.budgets, code=runs.code)
