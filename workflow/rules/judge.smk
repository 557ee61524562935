rule judge:
    """Published against measured: a verdict per number, a status per claim."""
    input:
        rules.published.output,
        rules.collect.output,
    output:
        verdicts=f"{RESULTS}/verdicts.csv",
        claims=f"{RESULTS}/claims.csv",
        speeds=expand(
            f"{RESULTS}/speed/{{name}}.csv", name=["relative", "orders", "stability"]
        ),
        manifests=expand(
            f"{RESULTS}/{{name}}.json",
            name=[
                "verdicts",
                "claims",
                "speed/relative",
                "speed/orders",
                "speed/stability",
            ],
        ),
    log:
        f"{RESULTS}/logs/judge.log",
    conda:
        "../envs/replication.yaml"
    params:
        sources=source_digest("replication.report.judge"),
        results=subpath(output.verdicts, parent=True),
    shell:
        "python -m replication judge --results {params.results:q} 2> {log:q}"
