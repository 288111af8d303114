"""Write the report."""

import json

from wgfpipe import stages

with stages.logged(snakemake.log[0]):
    files = snakemake.input
    paths = {"csv": files.csv, "netcdf": files.netcdf, "verdict": files.verdict}
    stages.report(json.loads(snakemake.params.spec), paths, snakemake.params.folders, snakemake.output[0])
