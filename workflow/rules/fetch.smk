localrules:
    fetch,


rule fetch:
    """A data set, checked and unpacked; a broken download leaves nothing behind."""
    output:
        f"{PLAN.data['root']}/{{dataset}}/manifest.json",
    log:
        f"{RESULTS}/logs/fetch/{{dataset}}.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["fetch"],
    params:
        options=options.write_fetch_options(PLAN),
    shell:
        "python -m replication fetch --dataset {wildcards.dataset} {params.options} > {log:q} 2>&1"
