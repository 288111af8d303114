"""Make the training data of a cell."""

import json

from wgfpipe import stages

with stages.logged(snakemake.log[0]):
    source = snakemake.input[0] if snakemake.input else None
    stages.data(json.loads(snakemake.params.spec), snakemake.output[0], source, code=snakemake.params.code)
