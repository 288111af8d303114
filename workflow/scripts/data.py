"""Make the training data of a cell."""

import json

from wgfpipe.pipeline import stages
from wgfpipe.pipeline.logs import logged

with logged(snakemake.log[0]):
    source = snakemake.params.source or None
    stages.data(json.loads(snakemake.params.spec), snakemake.output[0], source, code=snakemake.params.code)
