rule collect:
    """Every number of ours, as one tidy table."""
    input:
        sources(
            "report/collect",
            "report/rows",
            "report/speeds",
            "intervals",
            "records",
            "papers",
        ),
        rules.complexity_scaling.output,
        rules.complexity_merge.output,
        [
            f"{RESULTS}/evaluation/{e.model}/{e.image_size}/evaluation.csv"
            for e in PLAN.evaluations
        ],
        [f"{RESULTS}/speed/{condition}/cells.json" for condition in PLAN.conditions],
        [f"{PLAN.folder(run)}/test.csv" for run in PLAN.runs],
        [
            f"{RESULTS}/insight/{run.experiment}/{run.arm}/seed{run.seed}/detection.csv"
            for run in PLAN.detectors
        ],
    output:
        measured=f"{RESULTS}/measured.csv",
        runs=f"{RESULTS}/training/runs.csv",
    log:
        f"{RESULTS}/logs/collect.log",
    conda:
        "../envs/replication.yaml"
    params:
        results=subpath(output.measured, parent=True),
        scale=PLAN.scale,
        seeds=PLAN.seeds,
    shell:
        "python -m replication collect --results {params.results:q} --scale {params.scale}"
        " --seeds {params.seeds} 2> {log:q}"
