INSIGHT = f"{RESULTS}/insight/{{experiment}}/{{arm}}"


rule insight:
    """What the trained detectors of one arm are made of: layers, slots, attention, and how they do in crowds."""
    input:
        data=lambda wildcards: ancient(
            PLAN.list_fetched(wildcards.experiment, wildcards.arm)
        ),
        weights=lambda wildcards: PLAN.list_weights(wildcards.experiment, wildcards.arm),
    output:
        expand(
            f"{INSIGHT}/seed{{seed}}/{{file}}",
            seed=range(PLAN.seeds),
            file=[
                "detection.csv",
                "layers.csv",
                "slots.csv",
                "attention.npz",
                "manifest.json",
            ],
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/insight/{{experiment}}/{{arm}}.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["insight"],
    params:
        sources=digests.digest_command("insight", cards=False),
        contents=lambda wildcards: digests.digest_contents(
            PLAN, wildcards.experiment, wildcards.arm
        ),
        scale=PLAN.scale,
        seeds=list(range(PLAN.seeds)),
        weights=f"{RESULTS}/training/{{experiment}}/{{arm}}",
        out=INSIGHT,
        root=PLAN.data["root"],
        corrupt=PLAN.data["corrupt"],
        changes=lambda wildcards: options.write_recipe_options(
            PLAN, wildcards.experiment
        ),
        digest=lambda wildcards: digests.digest_experiment(PLAN, wildcards.experiment),  # taken apart again when the recipe changes
    shell:
        "python -m replication insight --experiment {wildcards.experiment} --arm {wildcards.arm}"
        " --seeds {params.seeds} --scale {params.scale} {params.changes} --weights {params.weights:q} --data {params.root:q}"
        " --corrupt {params.corrupt} --out {params.out:q} 2> {log:q}"
