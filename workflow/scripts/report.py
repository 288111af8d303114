"""Write the report."""

import json

from wgfpipe.pipeline import stages
from wgfpipe.pipeline.logs import logged

with logged(snakemake.log[0]):
    files = snakemake.input
    paths = {"csv": files.csv, "netcdf": files.netcdf, "verdict": files.verdict}
    run = snakemake.params
    stages.report(json.loads(run.spec), paths, run.folders, run.comparisons, snakemake.output.page)
