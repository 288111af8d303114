"""Observe the runs that the error budgets of a cell need."""

import json

from wgfpipe.pipeline import budget
from wgfpipe.pipeline.logs import logged

with logged(snakemake.log[0]):
    files = snakemake.input
    spec, code = json.loads(snakemake.params.spec), snakemake.params.code
    runs = budget.paths_of(spec, "results")
    budget.budget(spec, files.data, files.grid, runs, snakemake.output[0], code=code)
