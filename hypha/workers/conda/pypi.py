"""Packages of conda's channels, as PyPI knows them; what is in channels alone is told."""

from __future__ import annotations

import re

from hypha.workers.base import WorkerError
from hypha.workers.conda.requirements import Package, Requirements, normal

_NAMES = {
    "dask-core": "dask", "faiss": "faiss-cpu", "matplotlib-base": "matplotlib", "msgpack-python": "msgpack",
    "numpy-base": "numpy", "opencv": "opencv-python", "py-opencv": "opencv-python", "py-xgboost": "xgboost",
    "pyqt": "pyqt5", "pytables": "tables", "python-duckdb": "duckdb", "python-graphviz": "graphviz",
    "pytorch": "torch", "pytorch-cpu": "torch", "pytorch-gpu": "torch", "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
}  # fmt: skip
"""Names that PyPI has otherwise; all others are taken as they are."""
_CHANNEL_ONLY = re.compile(
    r"(?:r|r-.+|lib.+|perl|perl-.+|bioconductor-.+|cuda|cuda-(?!python).+|cudatoolkit|cudnn|nccl|pytorch-cuda"
    r"|gcc|gxx|gfortran|clang|clangxx|compilers|c-compiler|cxx-compiler|fortran-compiler|binutils|sysroot.*"
    r"|make|git|nodejs|openjdk|maven|go|rust|ffmpeg|gdal|geos|proj|hdf5|openssl|openmpi|mpich|fftw|boost"
    r"|imagemagick|graphviz|samtools|bcftools|bedtools|bwa|blast|fastqc|htslib|bowtie2|sqlite|zlib|curl|wget)"
)
"""Programs and libraries that are no packages of Python: PyPI has none, or something else of that name."""
_SAME_PACKAGES = ("conda-forge", "defaults", "anaconda", "main", "pytorch", "pypi")
"""Channels whose Python packages PyPI has, too."""


def needs_conda(what: str) -> WorkerError:
    """The error where only a package manager of conda's family will do."""
    return WorkerError(
        f"{what} comes from a conda channel, and this worker has uv, which installs from PyPI alone: "
        "mamba, micromamba or conda must be installed where the worker runs."
    )


def python_wanted(wanted: Requirements) -> str | None:
    """The interpreter that is asked for, such as `3.11` or `>=3.10`; None for any."""
    for each in wanted.packages:
        if normal(each.name) == "python":
            return _exact(each) or None
    return None


def for_pip(wanted: Requirements) -> list[str]:
    """All packages as pip takes them, without the interpreter.

    Raises:
        WorkerError: one is in channels alone, or its version cannot be said to pip.
    """
    packages = [each for each in wanted.packages if normal(each.name) != "python"]
    return [*(_for_pip(each) for each in packages), *wanted.pip]


def _for_pip(package: Package) -> str:
    name = normal(package.name)
    is_elsewhere = package.channel is not None and package.channel not in _SAME_PACKAGES
    if is_elsewhere or _CHANNEL_ONLY.fullmatch(name):
        raise needs_conda(f"The package {package.text}")
    version = _exact(package)
    if version[:1].isdigit():
        version = f"=={version}"
    return _NAMES.get(name, package.name) + version


def _exact(package: Package) -> str:
    """A version as pip writes it; a bare number means just this one, `=1.2` any that begins so."""
    text = re.sub(r"[ \t]+", "", package.version)
    if "|" in text or text.lstrip("=").count("=") > len(re.findall("[<>!~=]=", text.lstrip("="))):
        raise needs_conda(f"The version or build of {package.text}")
    if text.startswith("=") and not text.startswith("=="):
        text = text[1:].removesuffix(".*")
        if normal(package.name) == "python":
            return text
        return f"=={text}.*"
    return text.removeprefix("==").removesuffix(".*") if normal(package.name) == "python" else text
