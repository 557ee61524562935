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
        sources=digests.digest_command("published", cards=False),
        digest=digests.digest_published(),
        papers=options.write_paper_options(PLAN),
    shell:
        "python -m replication published {params.papers} --out {output.csv:q} 2> {log:q}"
