rule training:
    """One seeded run of one arm of an experiment; a killed run goes on from its last epoch."""
    input:
        sources("training", "data", "models", "files"),
        start=lambda wildcards: PLAN.start_weights(
            wildcards.experiment, wildcards.arm, wildcards.seed
        ),
        teacher=lambda wildcards: PLAN.teacher_weights(
            wildcards.experiment, wildcards.arm, wildcards.seed
        ),
    output:
        f"{RESULTS}/training/{{experiment}}/{{arm}}/seed{{seed}}/epochs.csv",
        f"{RESULTS}/training/{{experiment}}/{{arm}}/seed{{seed}}/weights.safetensors",
        test=f"{RESULTS}/training/{{experiment}}/{{arm}}/seed{{seed}}/test.csv",
    log:
        f"{RESULTS}/logs/training/{{experiment}}/{{arm}}/seed{{seed}}.log",
    conda:
        "../envs/replication.yaml"
    params:
        scale=PLAN.scale,
        out=subpath(output.test, parent=True),
        checkpoints=f"{RESULTS}/checkpoints",
        start=lambda wildcards, input: (
            f"--start-from {input.start}" if input.start else ""
        ),
        teacher=lambda wildcards, input: (
            f"--teacher {input.teacher}" if input.teacher else ""
        ),
        digest=lambda wildcards: PLAN.experiment_digest(wildcards.experiment),  # trained again when the recipe changes
    shell:
        "python -m replication training --experiment {wildcards.experiment} --arm {wildcards.arm}"
        " --seed {wildcards.seed} --scale {params.scale} {params.start} {params.teacher}"
        " --checkpoints {params.checkpoints} --out {params.out} 2> {log}"
