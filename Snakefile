# The door: `snakemake --cores all` in the repository's root makes everything the configuration asks for.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
