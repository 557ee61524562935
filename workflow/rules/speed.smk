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
        sources=digests.digest_command("speed", cards=False),
        digest=digests.digest_speeds(),
        own=digests.digest_own(PLAN, "own"),
        options=lambda wildcards: options.write_speed_options(PLAN, wildcards.condition),
        out=subpath(output[0], parent=True),
    shell:
        "python -m replication speed --published {params.options} --out {params.out:q} > {log:q} 2>&1"
