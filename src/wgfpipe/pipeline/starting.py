"""The start of an experiment in an empty folder: a Snakefile that runs the workflow of the installed package."""

from pathlib import Path

SNAKEFILE = """\
# Runs the workflow of the wgfpipe that is installed on the config.yaml beside this file: snakemake --cores 4
from wgfpipe.pipeline.starting import shipped


include: str(shipped() / "Snakefile")


rule everything:
    default_target: True
    input:
        rules.all.input,
"""
PACKAGE = Path(__file__).parent.parent


def shipped() -> Path:
    """Folder with ``Snakefile``, ``workflow/``, ``profiles/``, ``resources/`` and the config: in a wheel, or of a checkout."""
    inside = PACKAGE / "shipped"
    return inside if inside.is_dir() else PACKAGE.parent.parent


def start(folder: Path, whole: bool = False) -> list[Path]:
    """Write Snakefile, config and profiles into a folder, which is made if need be.

    Parameters
    ----------
    folder : Path
        Where the experiment is to be; other files there do not matter.
    whole : bool
        Start from the experiment of the repository, which needs its data, and not from one small cell.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    FileExistsError
        If one of the files is there already: nothing is written then.
    """
    source = shipped()
    files = {"Snakefile": SNAKEFILE.encode()}
    files["config.yaml"] = (source / "config.yaml" if whole else PACKAGE / "pipeline" / "starting.yaml").read_bytes()
    copied = [f"profiles/{name}/profile.yaml" for name in ("default", "slurm")]
    copied += [f"resources/{path.name}" for path in sorted((source / "resources").glob("*.csv")) if whole]
    files |= {name: (source / name).read_bytes() for name in copied}
    if there := [name for name in files if (folder / name).exists()]:
        raise FileExistsError(
            f"got {', '.join(there)} in {folder.absolute()}, expected none of them, as nothing is overwritten; "
            "remove them or name another folder: wgfpipe init FOLDER"
        )
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return [folder / name for name in files]
