"""Make a file of the plan."""

from wgfpipe.pipeline.jobs import make_planned
from wgfpipe.pipeline.logs import logged

with logged(snakemake.log[0]):
    make_planned(snakemake.params.file)
