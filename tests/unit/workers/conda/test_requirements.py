"""What manifests ask for, and how PyPI has it."""

from __future__ import annotations

from typing import Any

import pytest

from hypha.errors import InvalidArguments
from hypha.workers.base import WorkerError
from hypha.workers.conda.pypi import for_pip, python_wanted
from hypha.workers.conda.requirements import MOST_DEPENDENCIES, requirements_of, with_needed

NEEDED = ["pip", "ipykernel", "jupyter_client", "pyzmq"]


def wanted(*dependencies: Any, **more: Any) -> Any:
    return requirements_of({"dependencies": list(dependencies), **more})


def test_what_each_environment_needs_is_added_once() -> None:
    assert with_needed({}) == [*NEEDED, {"pip": ["hypha-rpc"]}]
    given = ["numpy", "IPyKernel>=6", {"pip": ["hypha_rpc==0.21.40", "requests"]}]
    added = ["numpy", "IPyKernel>=6", "pip", "jupyter_client", "pyzmq"]
    full = [*added, {"pip": ["hypha_rpc==0.21.40", "requests"]}]
    assert with_needed({"dependencies": given}) == full
    assert with_needed({"dependencies": full}) == full
    assert requirements_of({}).channels == ("conda-forge",)


def test_the_order_does_not_matter_for_the_name_of_an_environment() -> None:
    one = wanted("numpy", "scipy", {"pip": ["a", "b"]}, channels=["x", "y"])
    assert one.digest("uv") == wanted("scipy", {"pip": ["b", "a"]}, "numpy", channels=["y", "x"]).digest("uv")
    others = [
        wanted("numpy", "scipy>1", {"pip": ["a", "b"]}, channels=["x", "y"]).digest("uv"),
        wanted("numpy", "scipy", {"pip": ["a"]}, channels=["x", "y"]).digest("uv"),
        wanted("numpy", "scipy", {"pip": ["a", "b"]}, channels=["x"]).digest("uv"),
        one.digest("conda"),
    ]
    assert one.digest("uv") not in others and len(set(others)) == 4


@pytest.mark.parametrize(
    "entry",
    [
        *(
            "--index-url x",
            "-e .",
            "/etc/passwd",
            "./here",
            "numpy\n-e .",
            "numpy @ https://x/y",
            "",
            " ",
            "a b",
        ),
        *(3, None, ["numpy"], {"conda": []}, {"pip": "numpy"}, {"pip": ["a"], "b": 1}, "n" * 301),
        *(
            {"pip": [each]}
            for each in ("--pre", "-r x", "./x", "x @ file:///etc", "git+https://x/y", "x\ny", 3)
        ),
        {"pip": ["x @ https://host/${HYPHA_TOKEN}"]},
    ],
)
def test_what_names_no_package_is_refused(entry: Any) -> None:
    with pytest.raises(InvalidArguments):
        wanted(entry)


@pytest.mark.parametrize("value", ["numpy", {"numpy": 1}, 3, ["numpy"] * (MOST_DEPENDENCIES + 1)])
def test_dependencies_are_a_list_of_bounded_length(value: Any) -> None:
    with pytest.raises(InvalidArguments):
        requirements_of({"dependencies": value})


@pytest.mark.parametrize("channel", ["--file", "file:///x", "/etc", "http://x", "a..b", "", 3, "a b"])
def test_what_is_no_channel_is_refused(channel: Any) -> None:
    with pytest.raises(InvalidArguments):
        wanted(channels=[channel])


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("numpy", "numpy"),
        ("numpy=1.26", "numpy==1.26.*"),
        ("numpy=1.26.*", "numpy==1.26.*"),
        ("numpy==1.26.4", "numpy==1.26.4"),
        ("numpy 1.26.*", "numpy==1.26.*"),
        ("numpy >=1.2, <2", "numpy>=1.2,<2"),
        ("conda-forge::pytorch", "torch"),
        ("msgpack-python>=1", "msgpack>=1"),
        ("opencv", "opencv-python"),
    ],
)
def test_names_and_versions_are_said_as_pip_has_them(said: str, meant: str) -> None:
    assert for_pip(wanted(said))[0] == meant


def test_the_interpreter_is_not_a_package_of_pypi() -> None:
    asked = wanted("python=3.11", "numpy", {"pip": ["requests[socks]>=2; python_version<'3.13'"]})
    assert python_wanted(asked) == "3.11"
    assert for_pip(asked) == [
        *("numpy", *NEEDED),
        *("requests[socks]>=2; python_version<'3.13'", "hypha-rpc"),
    ]
    assert [python_wanted(wanted(each)) for each in ("python", "python>=3.10", "python==3.11.*", "pip")] == [
        *(None, ">=3.10", "3.11", None)
    ]


@pytest.mark.parametrize(
    "said",
    ["ffmpeg", "r-base", "libgdal", "cudatoolkit=11", "bioconda::pysam", "numpy=1.26=py311_0", "a>1|<3"],
)
def test_what_is_in_channels_alone_names_what_is_missing(said: str) -> None:
    with pytest.raises(WorkerError, match="mamba, micromamba or conda must be installed"):
        for_pip(wanted(said))
