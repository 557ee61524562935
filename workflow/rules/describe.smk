rule describe:
    """Every column of every CSV, described for programs: the results as a Frictionless data package."""
    input:
        rules.judge.output,
        rules.tables.output,
        rules.complexity_crossings.output,
        rules.departures.output,
        expand(f"{RESULTS}/complexity/{{paper}}/counts.json", paper=PLAN.models),
        [f"{PLAN.name_folder(run)}/manifest.json" for run in PLAN.runs],
        [
            f"{RESULTS}/insight/{run.experiment}/{run.arm}/seed{run.seed}/manifest.json"
            for run in PLAN.detectors
        ],
        [
            f"{RESULTS}/inside/{run.experiment}/{run.arm}/seed{run.seed}/manifest.json"
            for run in PLAN.classifiers
        ],
    output:
        package=f"{RESULTS}/datapackage.json",
        manifest=f"{RESULTS}/datapackage.manifest.json",
    log:
        f"{RESULTS}/logs/describe.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["describe"],
    params:
        sources=digests.digest_command("describe", cards=False),
        results=subpath(output.package, parent=True),
    shell:
        "python -m replication describe --results {params.results:q} 2> {log:q}"
