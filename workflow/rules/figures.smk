from replication.commands import PACKAGE

# The names of the figures are those of their captions: nothing that draws is imported to plan.
CAPTIONS = sorted((PACKAGE / "report" / "figures" / "captions").glob("*/*.rst"))


rule figures:
    """Every figure, with its finding as its title, as SVG and PNG."""
    input:
        rules.judge.output,
        rules.collect.output,
        [f"{PLAN.name_folder(run)}/epochs.csv" for run in PLAN.runs],
        [
            f"{RESULTS}/insight/{run.experiment}/{run.arm}/seed{run.seed}/detection.csv"
            for run in PLAN.detectors
        ],
        [
            f"{RESULTS}/inside/{run.experiment}/{run.arm}/seed{run.seed}/numbers.csv"
            for run in PLAN.classifiers
        ],
    output:
        [
            report(
                f"{RESULTS}/figures/{caption.stem}.svg",
                caption=f"../../{caption.relative_to(PACKAGE.parent)}",
                category="Speed" if caption.parent.name == "speed" else "Figures",
                labels={"figure": caption.read_text(encoding="utf-8").split("\n")[0]},
            )
            for caption in CAPTIONS
        ],
        [f"{RESULTS}/figures/{caption.stem}.png" for caption in CAPTIONS],
        manifest=f"{RESULTS}/figures/manifest.json",
    log:
        f"{RESULTS}/logs/figures.log",
    conda:
        "../envs/replication.yaml"
    resources:
        **RESOURCES["figures"],
    params:
        sources=digests.digest_command("figures"),
        results=subpath(output.manifest, ancestor=2),
    shell:
        "python -m replication figures --results {params.results:q} 2> {log:q}"
