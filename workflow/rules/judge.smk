rule judge:
    """Published against measured: a verdict per number, a status per claim."""
    input:
        sources("report/judge", "report/claims", "report/rows", "papers", "records"),
        rules.published.output,
        rules.collect.output,
    output:
        verdicts=f"{RESULTS}/verdicts.csv",
        claims=f"{RESULTS}/claims.csv",
    log:
        f"{RESULTS}/logs/judge.log",
    conda:
        "../envs/replication.yaml"
    params:
        results=subpath(output.verdicts, parent=True),
    shell:
        "python -m replication judge --results {params.results} 2> {log}"
