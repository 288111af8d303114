# From a cell's spec to the verdict on its trajectories, stage by stage; or all of it in one process, as a batch.
#
# Data and grids come first, so that the scheduler, which prefers jobs
# with large inputs, can start the long ones early instead of leaving one for the end.


rule data:
    input:
        made_from_files,
    output:
        "results/{cell}/data.nc",
    log:
        "results/logs/{cell}/data.log",
    benchmark:
        "results/benchmarks/{cell}/data.tsv"
    priority: 1
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=asks("mem_mb", "results/{cell}/data.nc"),
        runtime=asks("runtime", "results/{cell}/data.nc"),
    params:
        made=made_as("results/{cell}/data.nc"),
    script:
        "../scripts/make.py"


rule grid:
    input:
        files_of("results/{cell}/grid.nc"),
    output:
        "results/{cell}/grid.nc",
    log:
        "results/logs/{cell}/grid.log",
    benchmark:
        "results/benchmarks/{cell}/grid.tsv"
    priority: 1
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=asks("mem_mb", "results/{cell}/grid.nc"),
        runtime=asks("runtime", "results/{cell}/grid.nc"),
    params:
        made=made_as("results/{cell}/grid.nc"),
    script:
        "../scripts/make.py"


rule trajectory:
    input:
        files_of("results/{cell}/trajectory/{label}.nc"),
    output:
        "results/{cell}/trajectory/{label}.nc",
    log:
        "results/logs/{cell}/trajectory/{label}.log",
    benchmark:
        "results/benchmarks/{cell}/trajectory/{label}.tsv"
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=asks("mem_mb", "results/{cell}/trajectory/{label}.nc"),
        runtime=asks("runtime", "results/{cell}/trajectory/{label}.nc"),
    params:
        made=made_as("results/{cell}/trajectory/{label}.nc"),
    script:
        "../scripts/make.py"


rule distances:
    input:
        files_of("results/{cell}/distances.nc"),
    output:
        "results/{cell}/distances.nc",
    log:
        "results/logs/{cell}/distances.log",
    benchmark:
        "results/benchmarks/{cell}/distances.tsv"
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=asks("mem_mb", "results/{cell}/distances.nc"),
        runtime=asks("runtime", "results/{cell}/distances.nc"),
    params:
        made=made_as("results/{cell}/distances.nc"),
    script:
        "../scripts/make.py"


rule budget:
    input:
        files_of("results/{cell}/budget.nc"),
    output:
        "results/{cell}/budget.nc",
    log:
        "results/logs/{cell}/budget.log",
    benchmark:
        "results/benchmarks/{cell}/budget.tsv"
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=asks("mem_mb", "results/{cell}/budget.nc"),
        runtime=asks("runtime", "results/{cell}/budget.nc"),
    params:
        made=made_as("results/{cell}/budget.nc"),
    script:
        "../scripts/make.py"


rule verdict:
    input:
        files_of("results/{cell}/verdict.json"),
    output:
        "results/{cell}/verdict.json",
    log:
        "results/logs/{cell}/verdict.log",
    benchmark:
        "results/benchmarks/{cell}/verdict.tsv"
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=asks("mem_mb", "results/{cell}/verdict.json"),
        runtime=asks("runtime", "results/{cell}/verdict.json"),
    params:
        made=made_as("results/{cell}/verdict.json"),
    script:
        "../scripts/make.py"


rule batch:
    input:
        made_from_files,
    output:
        "results/batches/{batch}.json",
    log:
        "results/logs/batches/{batch}.log",
    benchmark:
        "results/benchmarks/batches/{batch}.tsv"
    priority: seconds_of_batch
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=batch_asks("mem_mb"),
        runtime=batch_asks("runtime"),
    script:
        "../scripts/batch.py"
