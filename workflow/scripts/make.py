"""Make a file of the plan: the first output, unless the rule names the one that says where all of them come from."""

from wgfpipe.pipeline.jobs import end_at_once, make_planned
from wgfpipe.pipeline.logs import logged

end_at_once()
with logged(snakemake.log[0]):
    make_planned(snakemake.params.get("file", snakemake.output[0]))
