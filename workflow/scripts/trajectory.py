"""Run one method of a cell."""

import json

from wgfpipe.pipeline import stages
from wgfpipe.pipeline.logs import logged

with logged(snakemake.log[0]):
    files = snakemake.input
    spec, checkpoint = json.loads(snakemake.params.spec), snakemake.params.checkpoint
    stages.run_method(spec, files.data, files.grid, snakemake.output[0], checkpoint, code=snakemake.params.code)
