"""A web without anybody to speak to: what it is made of, and what it says of itself."""

from collections.abc import Callable

import pytest

from corral.errors import ConfigError
from corral.handlers.kit.web import Web


@pytest.mark.parametrize("make", [lambda: Web(timeout=0.0), lambda: Web(max_bytes=0), lambda: Web(max_redirects=-1)])
def test_a_limit_of_nothing_is_a_mistake(make: Callable[[], Web]) -> None:
    with pytest.raises(ConfigError):
        make()


def test_a_web_says_whom_it_trusts() -> None:
    assert repr(Web(trusted=["http://127.0.0.1:8025/"], timeout=60)) == "<Web trusting http://127.0.0.1:8025>"
    assert repr(Web()) == "<Web trusting nobody>"


def test_a_url_of_ours_is_examined_without_looking_anything_up() -> None:
    assert Web().examine("https://Example.com/a b?c=d") == "https://example.com/a%20b?c=d"
