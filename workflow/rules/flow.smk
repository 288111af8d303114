# From a cell's spec to the distances of its trajectories.


rule data:
    input:
        source_of,
    output:
        "results/{cell}/data.nc",
    params:
        spec=spec_of("data"),
        code=code_of("data", "data"),
    log:
        "results/logs/{cell}/data.log",
    benchmark:
        "results/benchmarks/{cell}/data.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../scripts/data.py"


rule grid:
    input:
        data="results/{cell}/data.nc",
    output:
        "results/{cell}/grid.nc",
    params:
        spec=spec_of("grid"),
        code=code_of("grid", "grid"),
    log:
        "results/logs/{cell}/grid.log",
    benchmark:
        "results/benchmarks/{cell}/grid.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    script:
        "../scripts/grid.py"


rule trajectory:
    input:
        data="results/{cell}/data.nc",
        grid="results/{cell}/grid.nc",
    output:
        "results/{cell}/trajectory/{label}.nc",
    params:
        spec=trajectory_spec,
        code=trajectory_code,
        checkpoint="results/checkpoints/{cell}/{label}.npz",
    log:
        "results/logs/{cell}/trajectory/{label}.log",
    benchmark:
        "results/benchmarks/{cell}/trajectory/{label}.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    script:
        "../scripts/trajectory.py"


rule distances:
    input:
        data="results/{cell}/data.nc",
        grid="results/{cell}/grid.nc",
        trajectories=trajectories_of,
    output:
        "results/{cell}/distances.nc",
    params:
        spec=spec_of("distances"),
        code=code_of("distances", "distances"),
    log:
        "results/logs/{cell}/distances.log",
    benchmark:
        "results/benchmarks/{cell}/distances.tsv"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    script:
        "../scripts/distances.py"
