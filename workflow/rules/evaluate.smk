from replication.plan.evaluations import checkpoint, evaluated_images, is_detector


rule evaluate:
    """Accuracy or average precision of released weights, at the scale `full`."""
    input:
        checkpoint=lambda wildcards: checkpoint(config, wildcards.model, wildcards.size),
    output:
        f"{RESULTS}/evaluation/{{model}}/{{size}}/evaluation.csv",
        f"{RESULTS}/evaluation/{{model}}/{{size}}/evaluation.json",
    log:
        f"{RESULTS}/logs/evaluate/{{model}}_{{size}}.log",
    conda:
        "../envs/replication.yaml"
    threads: workflow.cores
    resources:
        **RESOURCES["evaluate"],
    params:
        sources=digests.command_digest("evaluate", cards=False),
        images=lambda wildcards: evaluated_images(config, wildcards.model),
        contents=lambda wildcards: [
            digests.weights_digest(
                checkpoint(config, wildcards.model, wildcards.size)
            ),
            digests.images_digest(
                evaluated_images(config, wildcards.model),
                is_detector(wildcards.model),
            ),
        ],
        corrupt=PLAN.data["corrupt"],
        out=subpath(output[0], parent=True),
        digest=lambda wildcards: digests.variant_digest(wildcards.model),  # evaluated again when the architecture changes
    shell:
        "python -m replication evaluate --model {wildcards.model} --image-size {wildcards.size}"
        " --checkpoint {input.checkpoint:q} --images {params.images:q} --corrupt {params.corrupt} --out {params.out:q}"
        " 2> {log:q}"
