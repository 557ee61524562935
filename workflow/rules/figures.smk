rule figures:
    """Complexity curves, learning curves and claims, as SVG and PNG."""
    input:
        rules.judge.output,
        rules.collect.output,
        [f"{PLAN.folder(run)}/epochs.csv" for run in PLAN.runs],
        [
            f"{RESULTS}/insight/{run.experiment}/{run.arm}/seed{run.seed}/detection.csv"
            for run in PLAN.detectors
        ],
    output:
        f"{RESULTS}/figures/figures.json",
    log:
        f"{RESULTS}/logs/figures.log",
    conda:
        "../envs/replication.yaml"
    params:
        sources=source_digest("replication.report.figures"),
        results=subpath(output[0], ancestor=2),
    shell:
        "python -m replication figures --results {params.results:q} 2> {log:q}"
