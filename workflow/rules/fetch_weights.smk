localrules:
    fetch_weights,


rule fetch_weights:
    """A file of published weights, with its digest, in the folder of all of them."""
    output:
        touch(PLAN.name_fetched("{weights}")),
    log:
        f"{RESULTS}/logs/fetch_weights/{{weights}}.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["fetch_weights"],
    params:
        options=options.write_fetch_options(PLAN),
        folder=subpath(output[0], ancestor=2),
    shell:
        "python -m replication fetch --weights {wildcards.weights} --checkpoints {params.folder:q} {params.options}"
        " > {log:q} 2>&1"
