rule report:
    """One page with all of it, readable offline."""
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
        manifest=f"{RESULTS}/report/index.json",
    log:
        f"{RESULTS}/logs/report.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["report"],
    params:
        sources=digests.command_digest("report"),
        results=subpath(output.page, ancestor=2),
    shell:
        "python -m replication report --results {params.results:q} 2> {log:q}"
