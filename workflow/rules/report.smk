rule report:
    """One page with all of it, readable offline."""
    input:
        rules.judge.output,
        rules.tables.output,
        rules.figures.output,
        rules.complexity_crossings.output,
        rules.departures.output,
    output:
        f"{RESULTS}/report/index.html",
        f"{RESULTS}/report/index.json",
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        "../envs/replication.yaml"
    params:
        sources=source_digest("replication.report.page"),
        results=subpath(output[0], ancestor=2),
    shell:
        "python -m replication report --results {params.results:q} 2> {log:q}"
