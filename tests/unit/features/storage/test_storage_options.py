"""What the options of files say together."""

from __future__ import annotations

import pytest

from hypha.configuration import all_options
from hypha.errors import ConfigurationError
from hypha.server import create_application, get_argparser


def test_flags_for_stores_of_others_are_known() -> None:
    flags = {option.flag for option in all_options() if option.is_flag}
    assert {"--endpoint-url", "--minio-version"} <= flags


@pytest.mark.spec("core-1.1", "core-L4")
@pytest.mark.parametrize("other", ["--endpoint-url", "--access-key-id"])
def test_the_embedded_store_and_another_one_are_refused_together(other: str) -> None:
    flags = ["--data-dir", ":memory:", "--start-minio-server", other, "http://s3"]
    with pytest.raises(ConfigurationError, match=other):
        create_application(get_argparser().parse_args(flags))
