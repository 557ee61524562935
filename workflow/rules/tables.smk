rule tables:
    """The papers' tables again: published, ours, verdict, as CSV, Markdown and LaTeX."""
    input:
        sources("report/tables", "report/formats", "papers", "transcript"),
        rules.judge.output,
    output:
        f"{RESULTS}/tables/summary.csv",
    log:
        f"{RESULTS}/logs/tables.log",
    conda:
        "../envs/replication.yaml"
    params:
        results=subpath(output[0], ancestor=2),
    shell:
        "python -m replication tables --results {params.results:q} 2> {log:q}"
