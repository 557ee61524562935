STUDIED = list(dict.fromkeys(run.experiment for run in PLAN.runs))


rule controls:
    """What trivial methods do on the pixels of a study."""
    output:
        f"{RESULTS}/training/controls.csv",
        f"{RESULTS}/training/controls.json",
    log:
        f"{RESULTS}/logs/controls.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["controls"],
    params:
        sources=digests.digest_command("controls", cards=False),
        experiments=STUDIED,
        digest=lambda wildcards: [
            digests.digest_experiment(PLAN, experiment) for experiment in STUDIED
        ],
        scale=PLAN.scale,
        seeds=list(range(PLAN.seeds)),
        root=PLAN.data["root"],
        out=subpath(output[0], parent=True),
    shell:
        "python -m replication controls --experiments {params.experiments} --scale {params.scale}"
        " --seeds {params.seeds} --data {params.root:q} --out {params.out:q}/controls.csv 2> {log:q}"
