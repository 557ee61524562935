rule tables:
    """The papers' tables again: published, ours, verdict, as CSV, Markdown and LaTeX."""
    input:
        rules.judge.output,
    output:
        summary=report(
            f"{RESULTS}/tables/summary.csv",
            caption="../report/summary.rst",
            category="Verdicts",
            labels={"file": "Verdicts by paper"},
        ),
        tables=[
            f"{RESULTS}/tables/{stem}.{suffix}"
            for stem in ["summary", "quotations", *PLAN.tables]
            for suffix in ["csv", "md", "tex"]
            if (stem, suffix) != ("summary", "csv")
        ],
        manifest=f"{RESULTS}/tables/manifest.json",
    log:
        f"{RESULTS}/logs/tables.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["tables"],
    params:
        sources=digests.digest_command("tables"),
        results=subpath(output.summary, ancestor=2),
    shell:
        "python -m replication tables --results {params.results:q} 2> {log:q}"
