rule published:
    """Every number the papers print, as one tidy table."""
    output:
        csv=f"{RESULTS}/published.csv",
        manifest=f"{RESULTS}/published.json",
    log:
        f"{RESULTS}/logs/published.log",
    conda:
        "../envs/replication.yaml"
    params:
        sources=source_digest("replication.papers"),
    shell:
        "python -m replication published --out {output.csv:q} 2> {log:q}"
