"""Compare the networks of several cells."""

import json

from wgfpipe.pipeline import stages
from wgfpipe.pipeline.logs import logged

with logged(snakemake.log[0]):
    made = snakemake.output
    out = {"netcdf": made.netcdf, "svg": made.svg, "png": made.png}
    stages.comparison(json.loads(snakemake.params.spec), snakemake.params.files, out, code=snakemake.params.code)
