from replication.plan.evaluations import (
    find_evaluation,
    find_images,
    group_evaluations,
)

EVALUATE = (
    "python -m replication evaluations --names {params.names} --checkpoints {params.checkpoints:q}"
    " --images {params.images:q} --device auto --corrupt {params.corrupt} --out {params.out:q} 2> {log:q}"
)


rule evaluate:
    """Accuracy or average precision of published weights, at the scale `full`, which are fetched if need be."""
    input:
        lambda wildcards: PLAN.list_needed(find_evaluation(config, "/".join(wildcards))),
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
        sources=digests.digest_command("evaluations", cards=False),
        names=lambda wildcards: ["/".join(wildcards)],
        images=lambda wildcards: find_images(config, "/".join(wildcards)),
        contents=lambda wildcards: digests.digest_evaluations(
            config, [find_evaluation(config, "/".join(wildcards))]
        ),
        checkpoints=PLAN.checkpoints,
        corrupt=PLAN.data["corrupt"],
        out=subpath(output[0], ancestor=4),
    shell:
        EVALUATE


# Classifiers that prepare images alike are one job, which reads each image once.
for TOGETHER in group_evaluations(PLAN.evaluations):

    rule:
        name:
            f"evaluate_{TOGETHER[0].label}"
        input:
            [file for one in TOGETHER for file in PLAN.list_needed(one)],
        output:
            [
                f"{RESULTS}/evaluation/{one.name}/{file}"
                for one in TOGETHER
                for file in ["evaluation.csv", "evaluation.json"]
            ],
        log:
            f"{RESULTS}/logs/evaluate/{TOGETHER[0].label}.log",
        priority: 1  # before one of them alone
        conda:
            "../envs/replication.yaml"
        threads: workflow.cores
        resources:
            **RESOURCES["evaluate"],
        params:
            sources=digests.digest_command("evaluations", cards=False),
            names=[one.name for one in TOGETHER],
            images=find_images(config, TOGETHER[0].name),
            contents=digests.digest_evaluations(config, TOGETHER),
            checkpoints=PLAN.checkpoints,
            corrupt=PLAN.data["corrupt"],
            out=subpath(output[0], ancestor=4),
        shell:
            EVALUATE

    workflow.ruleorder(f"evaluate_{TOGETHER[0].label}", "evaluate")
