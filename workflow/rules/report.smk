rule report:
    """What people look at: the data, the page made from them, a page a paper, the tables as an archive."""
    input:
        rules.judge.output,
        rules.tables.output,
        rules.figures.output,
        rules.complexity_crossings.output,
        rules.departures.output,
    output:
        page=report(
            f"{RESULTS}/report/index.html",
            caption="../report/page.rst",
            category="Page",
            labels={"file": "All of it, on one page"},
        ),
        data=f"{RESULTS}/report/report.json",
        papers=expand(
            f"{RESULTS}/report/papers/{{paper}}.html",
            paper=sorted({table.split("/")[0] for table in PLAN.tables}),
        ),
        tables=f"{RESULTS}/report/tables.zip",
        manifest=f"{RESULTS}/report/manifest.json",
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["report"],
    params:
        sources=digests.digest_command("report"),
        results=subpath(output.page, ancestor=2),
    shell:
        "python -m replication report --results {params.results:q} 2> {log:q}"
