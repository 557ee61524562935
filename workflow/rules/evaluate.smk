from replication.plan.evaluations import find_evaluation, find_images


rule evaluate:
    """Accuracy or average precision of published weights, at the scale `full`."""
    input:
        checkpoint=lambda wildcards: find_evaluation(
            config, "/".join(wildcards)
        ).checkpoint,
    output:
        f"{RESULTS}/evaluation/{{weights}}/{{images}}/{{size}}/evaluation.csv",
        f"{RESULTS}/evaluation/{{weights}}/{{images}}/{{size}}/evaluation.json",
    log:
        f"{RESULTS}/logs/evaluate/{{weights}}_{{images}}_{{size}}.log",
    conda:
        "../envs/replication.yaml"
    threads: workflow.cores
    resources:
        **RESOURCES["evaluate"],
    params:
        sources=digests.digest_command("evaluate", cards=False),
        model=lambda wildcards: find_evaluation(config, "/".join(wildcards)).model,
        size=lambda wildcards: find_evaluation(config, "/".join(wildcards)).image_size,
        scales=lambda wildcards: (
            "--multi-scale"
            if find_evaluation(config, "/".join(wildcards)).multi_scale
            else ""
        ),
        images=lambda wildcards: find_images(
            config, find_evaluation(config, "/".join(wildcards)).name
        ),
        contents=lambda wildcards: [
            digests.digest_weights(
                find_evaluation(config, "/".join(wildcards)).checkpoint
            ),
            digests.digest_images(
                find_images(config, find_evaluation(config, "/".join(wildcards)).name),
                wildcards.images == "coco",
            ),
        ],
        dataset=lambda wildcards: find_evaluation(config, "/".join(wildcards)).dataset,
        corrupt=PLAN.data["corrupt"],
        out=subpath(output[0], parent=True),
        # Evaluated again when the architecture changes.
        digest=lambda wildcards: digests.digest_variant(
            find_evaluation(config, "/".join(wildcards)).model
        ),
    shell:
        "python -m replication evaluate --model {params.model} --image-size {params.size} {params.scales}"
        " --weights {wildcards.weights} --dataset {params.dataset} --checkpoint {input.checkpoint:q}"
        " --images {params.images:q} --device auto --corrupt {params.corrupt} --out {params.out:q} 2> {log:q}"
