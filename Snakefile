# Does the Wasserstein gradient flow of a two-layer ReLU network follow gradient descent?
#   snakemake --cores 8            everything in config.yaml
#   snakemake --cores 8 --configfile other.yaml --directory elsewhere


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/flow.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "results/report.html",
        figures,
        records,
        comparisons("svg"),
