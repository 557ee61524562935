rule tables:
    """The papers' tables again: published, ours, verdict, as CSV, Markdown and LaTeX."""
    input:
        rules.judge.output,
    output:
        f"{RESULTS}/tables/summary.csv",
        f"{RESULTS}/tables/tables.json",
    log:
        f"{RESULTS}/logs/tables.log",
    conda:
        "../envs/replication.yaml"
    params:
        sources=source_digest("replication.report.tables"),
        results=subpath(output[0], ancestor=2),
    shell:
        "python -m replication tables --results {params.results:q} 2> {log:q}"
