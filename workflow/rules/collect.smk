rule collect:
    """Every number of ours, as one tidy table."""
    input:
        rules.complexity_scaling.output,
        rules.complexity_merge.output,
        [
            f"{RESULTS}/evaluation/{one.name}/{file}"
            for one in PLAN.evaluations
            for file in ["evaluation.csv", "evaluation.json"]
        ],
        [f"{RESULTS}/speed/{condition}/cells.json" for condition in PLAN.conditions],
        [
            f"{PLAN.name_folder(run)}/{file}"
            for run in PLAN.runs
            for file in ["test.csv", "answers.csv", "manifest.json"]
        ],
        [
            f"{RESULTS}/insight/{run.experiment}/{run.arm}/seed{run.seed}/{file}"
            for run in PLAN.detectors
            for file in ["detection.csv", "manifest.json"]
        ],
        [
            f"{RESULTS}/inside/{run.experiment}/{run.arm}/seed{run.seed}/{file}"
            for run in PLAN.classifiers
            for file in ["numbers.csv", "manifest.json"]
        ],
    output:
        measured=f"{RESULTS}/measured.csv",
        runs=f"{RESULTS}/training/runs.csv",
        answers=f"{RESULTS}/training/answers.csv",
        manifests=[
            f"{RESULTS}/measured.json",
            f"{RESULTS}/training/runs.json",
            f"{RESULTS}/training/answers.json",
        ],
    log:
        f"{RESULTS}/logs/collect.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["collect"],
    params:
        sources=digests.digest_command("collect", cards=False),
        digest=digests.digest_models(),
        results=subpath(output.measured, parent=True),
        scale=PLAN.scale,
        seeds=PLAN.seeds,
        trained=(
            [f"{run.experiment}/{run.arm}/seed{run.seed}" for run in PLAN.runs]
            if ONE_BY_ONE
            else PLAN.list_arms(PLAN.runs)
        ),
        insight=PLAN.list_arms(PLAN.detectors),
        inside=PLAN.list_arms(PLAN.classifiers),
    shell:
        "python -m replication collect --results {params.results:q} --scale {params.scale}"
        " --seeds {params.seeds} --trained {params.trained} --insight {params.insight} --inside {params.inside} 2> {log:q}"
