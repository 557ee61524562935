INSIDE = f"{RESULTS}/inside/{{experiment}}/{{arm}}"


rule inside:
    """What the trained classifiers of one arm have learned to look at, and what they did before their training."""
    input:
        data=lambda wildcards: ancient(
            PLAN.list_fetched(wildcards.experiment, wildcards.arm)
        ),
        weights=lambda wildcards: PLAN.list_weights(wildcards.experiment, wildcards.arm),
    output:
        expand(
            f"{INSIDE}/seed{{seed}}/{{file}}",
            seed=range(PLAN.seeds),
            file=[
                "numbers.csv",
                "distances.csv",
                "depths.csv",
                "fields.csv",
                "positions.csv",
                "pictures.npz",
                "manifest.json",
            ],
            allow_missing=True,
        ),
    log:
        f"{RESULTS}/logs/inside/{{experiment}}/{{arm}}.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["inside"],
    params:
        sources=digests.digest_command("inside arm", cards=False),
        contents=lambda wildcards: digests.digest_contents(
            PLAN, wildcards.experiment, wildcards.arm
        ),
        scale=PLAN.scale,
        seeds=list(range(PLAN.seeds)),
        weights=f"{RESULTS}/training/{{experiment}}/{{arm}}",
        out=INSIDE,
        root=PLAN.data["root"],
        corrupt=PLAN.data["corrupt"],
        changes=lambda wildcards: options.write_recipe_options(
            PLAN, wildcards.experiment
        ),
        digest=lambda wildcards: digests.digest_experiment(PLAN, wildcards.experiment),  # looked into again when the recipe changes
    shell:
        "python -m replication inside arm --experiment {wildcards.experiment} --arm {wildcards.arm}"
        " --seeds {params.seeds} --scale {params.scale} {params.changes} --weights {params.weights:q} --data {params.root:q}"
        " --corrupt {params.corrupt} --out {params.out:q} 2> {log:q}"
