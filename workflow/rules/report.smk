# From distances to figures, the verdict and the report.


rule figures:
    input:
        data="results/{cell}/data.nc",
        grid="results/{cell}/grid.nc",
        distances="results/{cell}/distances.nc",
        trajectories=trajectories_of,
    output:
        energy=report(
            "results/{cell}/figures/energy.svg", caption="../report/energy.rst", category="{cell}", labels={"figure": "energy"}
        ),
        distances=report(
            "results/{cell}/figures/distances.svg",
            caption="../report/distances.rst",
            category="{cell}",
            labels={"figure": "distances"},
        ),
        measures=report(
            "results/{cell}/figures/measures.svg",
            caption="../report/measures.rst",
            category="{cell}",
            labels={"figure": "measures"},
        ),
        fit=report("results/{cell}/figures/fit.svg", caption="../report/fit.rst", category="{cell}", labels={"figure": "fit"}),
        certificates=report(
            "results/{cell}/figures/certificates.svg",
            caption="../report/certificates.rst",
            category="{cell}",
            labels={"figure": "certificates"},
        ),
        descends=report(
            "results/{cell}/figures/descends.svg",
            caption="../report/descends.rst",
            category="{cell}",
            labels={"figure": "what each scheme descends"},
        ),
        rate=report(
            "results/{cell}/figures/rate.svg", caption="../report/rate.rst", category="{cell}", labels={"figure": "rate"}
        ),
        held_out=report(
            "results/{cell}/figures/held_out.svg",
            caption="../report/held_out.rst",
            category="{cell}",
            labels={"figure": "held out"},
        ),
        png=expand("results/{{cell}}/figures/{name}.png", name=FIGURES),
        pdf="results/{cell}/figures/figures.pdf",
        animation=report(
            "results/{cell}/figures/flow.gif", caption="../report/flow.rst", category="{cell}", labels={"figure": "animation"}
        ),
    log:
        "results/logs/{cell}/figures.log",
    benchmark:
        "results/benchmarks/{cell}/figures.tsv"
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        spec=spec_of("figures"),
        code=code_of("figures", "figures"),
        folder="results/{cell}/figures",
    script:
        "../scripts/figures.py"


rule comparison:
    input:
        files=comparison_files,
    output:
        netcdf="results/comparisons/{comparison}.nc",
        svg=report(
            "results/comparisons/{comparison}.svg",
            caption="../report/comparison.rst",
            category="Comparisons",
            labels={"figure": "{comparison}"},
        ),
        png="results/comparisons/{comparison}.png",
    log:
        "results/logs/comparisons/{comparison}.log",
    benchmark:
        "results/benchmarks/comparisons/{comparison}.tsv"
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        spec=comparison_spec,
        code=comparison_code,
        files=comparison_paths,
    script:
        "../scripts/comparison.py"


rule summary:
    input:
        distances=expand("results/{cell}/distances.nc", cell=EXPERIMENT.cells),
        budgets=expand("results/{cell}/budget.nc", cell=BUDGETS),
        trajectories=trajectories_of_all_cells(),
    output:
        csv=report("results/summary.csv", caption="../report/summary.rst", category="Summary", labels={"figure": "table"}),
        netcdf="results/summary.nc",
        verdict="results/verdict.json",
    log:
        "results/logs/summary.log",
    benchmark:
        "results/benchmarks/summary.tsv"
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        spec=canonical(summary_spec()),
        code=stages.code_of("summary", {}),
        distances=distances_by_cell,
        trajectories=trajectories_by_cell,
        budgets=budgets_by_cell,
    script:
        "../scripts/summary.py"


rule page:
    input:
        csv="results/summary.csv",
        netcdf="results/summary.nc",
        verdict="results/verdict.json",
        files=expand("results/{cell}/{name}.nc", cell=EXPERIMENT.cells, name=["data", "grid", "distances"]),
        trajectories=trajectories_of_all_cells(),
        figures=figures_of_all_cells(),
        comparisons=comparisons("nc"),
        pictures=comparisons("svg"),
        parts=parts_of_pages(),
    output:
        page="results/report.html",
        folder=report(
            directory("results/report"),
            htmlindex="index.html",
            caption="../report/page.rst",
            category="Summary",
            labels={"figure": "report"},
        ),
    log:
        "results/logs/report.log",
    benchmark:
        "results/benchmarks/report.tsv"
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        spec=canonical(report_spec()),
        code=stages.code_of("report", {}),
        folders=folders_by_cell,
        comparisons=comparisons_by_name,
    script:
        "../scripts/report.py"
