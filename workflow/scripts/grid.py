"""Make the grid and the initial measure of a cell."""

import json

from wgfpipe.pipeline import stages
from wgfpipe.pipeline.logs import logged

with logged(snakemake.log[0]):
    stages.grid(json.loads(snakemake.params.spec), snakemake.input.data, snakemake.output[0], code=snakemake.params.code)
