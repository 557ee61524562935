SPEED = f"{RESULTS}/speed/{{condition}}"


rule speed:
    """Speed of the papers' models under one condition, interleaved in one process that has the machine for itself."""
    output:
        f"{SPEED}/cells.csv",
        f"{SPEED}/samples.csv",
        f"{SPEED}/cells.json",
    log:
        f"{RESULTS}/logs/speed/{{condition}}.log",
    conda:
        "../envs/replication.yaml"
    threads: workflow.cores
    resources:
        **RESOURCES["speed"],
        gpu=lambda wildcards: int(wildcards.condition.startswith("cuda")),
    params:
        sources=source_digest("replication.speed", cards=False),
        digest=PLAN.speeds_digest,
        own=PLAN.own_digest("own"),
        options=lambda wildcards: PLAN.speed_options(wildcards.condition),
        out=subpath(output[0], parent=True),
    shell:
        "python -m replication speed --published {params.options} --out {params.out:q} > {log:q} 2>&1"
