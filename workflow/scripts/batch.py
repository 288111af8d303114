"""Make all files of some cells in one process."""

from wgfpipe.pipeline.jobs import end_at_once, make_batch
from wgfpipe.pipeline.logs import logged

end_at_once()
with logged(snakemake.log[0]):
    make_batch(snakemake.wildcards.batch, snakemake.output[0])
