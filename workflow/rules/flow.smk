# From a cell's spec to the distances of its trajectories. Data and grids come first, so that the scheduler, which prefers jobs
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
        mem_mb=1000,
        runtime=10,
    params:
        spec=spec_of("data"),
        code=code_of("data", "data"),
        source=source_of,
        digest=source_digest,
    script:
        "../scripts/data.py"


rule grid:
    input:
        data=data_of,
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
        mem_mb=1000,
        runtime=10,
    params:
        spec=spec_of("grid"),
        code=code_of("grid", "grid"),
    script:
        "../scripts/grid.py"


rule trajectory:
    input:
        data=data_of,
        grid=grid_of,
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
        mem_mb=4000,
        runtime=120,
    params:
        spec=trajectory_spec,
        code=trajectory_code,
        checkpoint="results/checkpoints/{cell}/{label}.npz",
    script:
        "../scripts/trajectory.py"


rule distances:
    input:
        data="results/{cell}/data.nc",
        grid="results/{cell}/grid.nc",
        trajectories=trajectories_of,
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
        mem_mb=4000,
        runtime=120,
    params:
        spec=spec_of("distances"),
        code=code_of("distances", "distances"),
    script:
        "../scripts/distances.py"


rule budget:
    input:
        data="results/{cell}/data.nc",
        grid="results/{cell}/grid.nc",
        trajectories=runs_of_budget,
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
        mem_mb=4000,
        runtime=20,
    params:
        spec=spec_of("budget"),
        code=code_of("budget", "budget"),
    script:
        "../scripts/budget.py"
