SPEED = f"{RESULTS}/speed/{{condition}}"


rule speed:
    """Speed of the papers' models under one condition, interleaved in one process that has the machine for itself."""
    input:
        sources("speed", "complexity", "models", "intervals", "files", "own_models"),
        PLAN.own_sources("own"),
    output:
        f"{SPEED}/cells.csv",
        f"{SPEED}/samples.csv",
        f"{SPEED}/cells.json",
    log:
        f"{RESULTS}/logs/speed/{{condition}}.log",
    conda:
        "../envs/replication.yaml"
    threads: workflow.cores
    params:
        options=lambda wildcards: PLAN.speed_options(wildcards.condition),
        out=subpath(output[0], parent=True),
    shell:
        "python -m replication speed --published {params.options} --out {params.out:q} > {log:q} 2>&1"
