# From distances to figures, and from the verdicts on all cells to the summary and the report.


rule figures:
    input:
        files_of("results/{cell}/figures/origin.json"),
    output:
        origin="results/{cell}/figures/origin.json",
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
        png=expand("results/{{cell}}/figures/{name}.png", name=CATALOGUE),
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
        mem_mb=asks("mem_mb", "results/{cell}/figures/origin.json"),
        runtime=asks("runtime", "results/{cell}/figures/origin.json"),
    params:
        made=made_as("results/{cell}/figures/origin.json"),
    script:
        "../scripts/make.py"


rule comparison:
    input:
        batches_of("results/comparisons/{comparison}.nc"),
    output:
        netcdf="results/comparisons/{comparison}.nc",
        svg=report(
            "results/comparisons/{comparison}.svg",
            caption="../report/comparison.rst",
            category="Comparisons",
            labels={"figure": "{comparison}"},
        ),
        png="results/comparisons/{comparison}.png",
        pdf="results/comparisons/{comparison}.pdf",
    log:
        "results/logs/comparisons/{comparison}.log",
    benchmark:
        "results/benchmarks/comparisons/{comparison}.tsv"
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=asks("mem_mb", "results/comparisons/{comparison}.nc"),
        runtime=asks("runtime", "results/comparisons/{comparison}.nc"),
    params:
        made=made_as("results/comparisons/{comparison}.nc"),
    script:
        "../scripts/make.py"


rule summary:
    input:
        batches_of("results/summary.nc"),
    output:
        netcdf="results/summary.nc",
        csv=report("results/summary.csv", caption="../report/summary.rst", category="Summary", labels={"figure": "table"}),
        verdict="results/verdict.json",
    log:
        "results/logs/summary.log",
    benchmark:
        "results/benchmarks/summary.tsv"
    conda:
        "../envs/wgfpipe.yaml"
    threads: 1
    resources:
        mem_mb=asks("mem_mb", "results/summary.nc"),
        runtime=asks("runtime", "results/summary.nc"),
    params:
        made=made_as("results/summary.nc"),
    script:
        "../scripts/make.py"


rule page:
    input:
        csv="results/summary.csv",
        netcdf="results/summary.nc",
        verdict="results/verdict.json",
        files=batches_of("results/summary.nc"),
        figures=figures,
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
        mem_mb=asks("mem_mb", "results/report/origin.json"),
        runtime=asks("runtime", "results/report/origin.json"),
    params:
        file="results/report/origin.json",
        made=made_as("results/report/origin.json"),
    script:
        "../scripts/make.py"
