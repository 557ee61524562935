rule published:
    """Every number the papers print, as one tidy table."""
    output:
        csv=f"{RESULTS}/published.csv",
        manifest=f"{RESULTS}/published.json",
    log:
        f"{RESULTS}/logs/published.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["published"],
    params:
        sources=digests.command_digest("published", cards=False),
        digest=digests.published_digest(),
        papers=options.paper_options(PLAN),
    shell:
        "python -m replication published {params.papers} --out {output.csv:q} 2> {log:q}"
