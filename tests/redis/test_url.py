"""Redis URLs: every shape, and every way to get one wrong."""

import pytest

from corral.errors import ConfigError
from corral.storage.connect import check_url, safe_url
from corral.storage.redis.slots import has_tag, slot_of
from corral.storage.redis.url import Mode, Place, Tls, parse


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://", Place((("localhost", 6379),))),
        ("redis://cache:7000/3", Place((("cache", 7000),), db=3)),
        ("valkey://cache?db=3&prefix=jobs", Place((("cache", 6379),), db=3, prefix="jobs")),
        ("redis://:p%40ss@cache", Place((("cache", 6379),), password="p@ss")),
        ("redis://bob:pw@[::1]:7000", Place((("::1", 7000),), user="bob", password="pw")),
        ("redis://cache?timeout=2.5", Place((("cache", 6379),), patience=2.5)),
        ("redis+unix:///run/redis.sock?db=1", Place(("/run/redis.sock",), db=1)),
        ("valkey+unix://:pw@/run/redis.sock", Place(("/run/redis.sock",), password="pw")),
        ("rediss://cache", Place((("cache", 6379),), tls=Tls())),
        (
            "valkeys://cache?ca=/ca.pem&cert=/c.pem&key=/k.pem&verify=no",
            Place((("cache", 6379),), tls=Tls("/ca.pem", "/c.pem", "/k.pem", False)),
        ),
        (
            "redis+sentinel://bob:pw@a:1,b/mymaster/2?sentinel_password=x",
            Place(
                (("a", 1), ("b", 26379)), Mode.SENTINEL, "mymaster", 2, "bob", "pw", sentinel_password="x"
            ),
        ),
        (
            "redis+cluster://a:1,b:2?prefix={bull}",
            Place((("a", 1), ("b", 2)), Mode.CLUSTER, prefix="{bull}"),
        ),
    ],
)  # fmt: skip
def test_a_url_says_where_and_how(url: str, place: Place) -> None:
    assert parse(url) == place
    check_url(url)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("redis+tcp://a", "unknown URL scheme 'redis\\+tcp'"),
        ("redis://a,b", "names one server, not 2"),
        ("redis://a:port", "port must be a number"),
        ("redis://a:70000", "port must be a number"),
        ("redis://a/x", "db must be a number, not 'x'"),
        ("redis://a?db=-1", "db must be a number"),
        ("redis://a?prefx=b", "unknown URL setting 'prefx'; did you mean 'prefix'"),
        ("redis://a?zzz=b", "there are prefix, db, timeout"),
        ("redis://a?ca=/x", "use rediss:// with it"),
        ("redis://a?prefix=", "prefix must be printable"),
        ("redis://a?prefix=a%20b", "prefix must be printable"),
        ("redis://a?timeout=soon", "timeout must be seconds from 0.1 to 3600"),
        ("redis://a?timeout=0", "timeout must be seconds from 0.1 to 3600"),
        ("redis://a?timeout=nan", "timeout must be seconds from 0.1 to 3600"),
        ("rediss://a?verify=maybe", "verify must be yes or no"),
        ("rediss://a?key=/k", "needs its certificate"),
        ("redis+unix://host/path", "redis\\+unix:///path"),
        ("redis+unix://", "redis\\+unix:///path"),
        ("redis+sentinel://a:1", "name of the master is missing"),
        ("redis+cluster://a:1", "prefix=\\{bull\\}"),
        ("redis+cluster://a:1/1?prefix={b}", "only database 0"),
        ("redis+cluster://a:1?prefix=b{}", "in one slot"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://bob:s3cret@cache:7000/3?prefix=jobs",
        "redis+sentinel://:s3cret@a:1,b:2/mymaster?sentinel_password=s3cret",
        "redis+unix://:s3cret@/run/redis.sock",
        "rediss://:s3cret@[::1]",
        "redis+cluster://:s3cret@a:1,b:2?prefix={bull}",
    ],
)
def test_no_password_is_ever_shown(url: str) -> None:
    place = parse(url)
    assert place.password == "s3cret"
    for text in (repr(place), str(place), place.shown, safe_url(url)):
        assert "s3cret" not in text
    assert safe_url(url).count("***") == url.count("s3cret")
    assert parse(place.shown).addresses == place.addresses


def test_slots_are_those_of_the_cluster_specification() -> None:
    assert slot_of("123456789") == 0x31C3
    assert slot_of("foo") == 12182
    assert slot_of("{user1000}.following") == slot_of("corral:{user1000}:x") == slot_of("user1000")
    assert slot_of("foo{}{bar}") == slot_of("foo{}{bar}")
    assert not has_tag("foo{}{bar}")
    assert slot_of("foo{{bar}}zap") == slot_of("{bar")
