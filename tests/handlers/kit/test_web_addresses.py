"""Where a Web never goes, in more than eighty ways of asking it to."""

import pytest

from corral.errors import ConfigError
from corral.handlers.kit.addresses import is_public, look_up
from corral.handlers.kit.web import BlockedAddressError, Web, WebError

from .raw_server import PUBLIC, Names, answer, answering, outside, raw_server

NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.1.2.3 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1
192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.255.255 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1
203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1
64:ff9b::8.8.8.8 64:ff9b:1::10.0.0.1 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1
2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe::1 2620:4f:8000::1 3fff::1 3ffe::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1
fe80::1%eth0 fec0::1 ff02::1 ff0e::1 4000::1 8000::1
""".split()

URLS_REFUSED_UNSEEN = [
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "unix:///run/docker.sock",
    "https:///path",
    "https://",
    "//example.com/",
    "example.com",
    "",
    "https://user@example.com/",
    "https://user:word@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1%2f@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https://example.com\r\nHost: inside/",
    "https://exa\tmple.com/",
    "https://exa mple.com/",
    "https://example.com:22/",
    "https://example.com:6379/",
    "https://example.com:8443/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127。0。0。1/",
    "https://%31%32%37.0.0.1/",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.0.0.0x1/",
    "https://0x08080808/",
    "https://134744072/",
    "https://8.8.8.08/",
    "https://1.2.3.4.5/",
    "https://0/",
    "https://0x/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:ffff:a9fe:a9fe]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[2002:7f00:1::]/",
    "https://[fe80::1%25eth0]/",
    "https://[fd00:ec2::254]/",
    "https://169.254.169.254/latest/meta-data/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://api.localhost/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://redis/",
    "https://metadata/",
    "https://nas.lan/",
    "https://box.home.arpa/",
    "https://-bad.example.com/",
    "https://bad..example.com/",
    f"https://{'a' * 64}.example.com/",
    f"https://example.com/{'a' * 8_000}",
]

NAMES_THAT_LEAD_INSIDE = {
    "127.0.0.1.nip.io": ["127.0.0.1"],
    "169-254-169-254.sslip.io": ["169.254.169.254"],
    "localtest.me": ["127.0.0.1"],
    "six.example.com": ["::1"],
    "mapped.example.com": ["::ffff:127.0.0.1"],
    "nat64.example.com": ["64:ff9b::a9fe:a9fe"],
    "ula.example.com": ["fd12:3456::1"],
    "link.example.com": ["fe80::1%eth0"],
    "private.example.com": ["10.1.2.3"],
    "second.example.com": [PUBLIC, "192.168.1.1"],
    "mixed.example.com": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "127.0.0.1"],
    "nonsense.example.com": ["not an address"],
    "docker.example.com": ["172.17.0.1"],
    "carrier.example.com": ["100.64.1.1"],
    "nowhere.example.com": ["0.0.0.0"],
    "everyone.example.com": ["255.255.255.255"],
}


def test_there_are_at_least_eighty_ways() -> None:
    assert len(NOT_PUBLIC) + len(URLS_REFUSED_UNSEEN) + len(NAMES_THAT_LEAD_INSIDE) >= 80


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_for_everybody_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", PUBLIC, "1.1.1.1", "2606:4700::6810:84e5", "2a00:1450:4001::200e"])
def test_an_ordinary_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", URLS_REFUSED_UNSEEN)
async def test_a_url_is_refused_before_anything_is_looked_up(url: str) -> None:
    names = Names()
    async with raw_server(answering(answer())) as server:
        web = Web(resolve=names, timeout=60)
        dialled = outside(web, server.port)
        with pytest.raises(BlockedAddressError):
            await web.request("GET", url)
        with pytest.raises(BlockedAddressError):
            web.examine(url)
    assert (names.asked, dialled.addresses, server.asked) == ([], [], [])


@pytest.mark.parametrize("host", NAMES_THAT_LEAD_INSIDE)
async def test_a_name_that_leads_inside_is_refused_and_nobody_is_called(host: str) -> None:
    names = Names()
    names.names[host] = [NAMES_THAT_LEAD_INSIDE[host]]
    async with raw_server(answering(answer())) as server:
        web = Web(resolve=names, plain_http=True, timeout=60)
        dialled = outside(web, server.port)
        with pytest.raises(BlockedAddressError, match="not a public address"):
            await web.request("POST", f"http://{host}/hook", json={"a": 1})
    assert (dialled.addresses, server.asked) == ([], [])


async def test_a_name_that_changes_its_mind_is_asked_once_and_called_at_the_address_that_was_checked() -> None:
    names = Names(rebinding_example_com=[[PUBLIC], ["127.0.0.1"]])
    async with raw_server(answering(answer(body=b"outside"))) as server:
        web = Web(resolve=names, plain_http=True, timeout=60)
        dialled = outside(web, server.port)
        assert (await web.request("GET", "http://rebinding.example.com/")).body == b"outside"
        assert (names.asked, dialled.addresses) == (["rebinding.example.com"], [(PUBLIC, 80)])
        with pytest.raises(BlockedAddressError, match="leads to"):
            await web.request("GET", "http://rebinding.example.com/")
    assert len(server.asked) == 1


async def test_kept_connections_do_not_ask_again_and_new_ones_do() -> None:
    names = Names(rebinding_example_com=[[PUBLIC], ["127.0.0.1"]])
    async with raw_server(answering(answer(body=b"a"), answer(body=b"b", connection="close"))) as server:
        web = Web(resolve=names, plain_http=True, timeout=60)
        outside(web, server.port)
        async with web:
            first = await web.request("GET", "http://rebinding.example.com/")
            second = await web.request("GET", "http://rebinding.example.com/")
            with pytest.raises(BlockedAddressError):
                await web.request("GET", "http://rebinding.example.com/")
    assert (first.body, second.body, server.connections) == (b"a", b"b", 1)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/iam/",
        "http://127.0.0.1/",
        "http://127.0.0.1:6379/",
        "http://[::1]/",
        "http://inside.example.com/",
        "http://0x7f.1/",
        "//localhost/",
        "https://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "http://user:word@example.org/",
        "http://exa\tmple.org/",
        "http://[half/",
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_where_a_url_may_not_lead_is_not_followed(status: int, location: str) -> None:
    names = Names(inside_example_com=[["10.0.0.8"]])
    async with raw_server(answering(answer(status, location=location))) as server:
        web = Web(resolve=names, plain_http=True, timeout=60)
        dialled = outside(web, server.port)
        with pytest.raises(BlockedAddressError):
            await web.request("GET", "http://example.com/start")
    assert server.first_lines() == ["GET /start HTTP/1.1"]
    assert dialled.addresses == [(PUBLIC, 80)]


async def test_a_redirect_does_not_lead_to_a_server_the_operator_trusts() -> None:
    async with raw_server(answering(answer(body=b"secret"))) as inside:
        onward = answer(302, location=f"{inside.url}/admin")
        async with raw_server(answering(onward)) as server:
            web = Web(resolve=Names(), plain_http=True, trusted=[inside.url], timeout=60)
            outside(web, server.port)
            with pytest.raises(BlockedAddressError):
                await web.request("GET", "http://example.com/")
            assert (await web.request("GET", f"{inside.url}/mine")).body == b"secret"
    assert inside.first_lines() == ["GET /mine HTTP/1.1"]


async def test_trust_is_for_one_scheme_host_and_port() -> None:
    async with raw_server(answering(answer())) as server:
        web = Web(trusted=[server.url], resolve=Names(), timeout=60)
        for url in (f"https://127.0.0.1:{server.port}/", f"http://localhost:{server.port}/", "http://127.0.0.1/"):
            with pytest.raises(BlockedAddressError):
                await web.request("GET", url)
        assert (await web.request("GET", f"{server.url}/")).ok


@pytest.mark.parametrize("text", ["127.0.0.1:80", "ftp://a", "", "http://u:p@a"])
def test_an_origin_that_is_none_cannot_be_trusted(text: str) -> None:
    with pytest.raises(ConfigError, match="trusted origin"):
        Web(trusted=[text], timeout=60)


async def test_the_second_address_is_tried_when_the_first_does_not_answer() -> None:
    six = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
    async with raw_server(answering(answer(body=b"four"))) as server:
        web = Web(resolve=Names(example_com=[[six, PUBLIC]]), plain_http=True, timeout=60)
        dialled = outside(web, server.port)
        dialled.dead.add(six)
        assert (await web.request("GET", "http://example.com/")).body == b"four"
    assert dialled.addresses == [(six, 80), (PUBLIC, 80)]


async def test_an_address_that_says_nothing_takes_its_share_of_the_time_only() -> None:
    async with raw_server(answering(answer(body=b"second"))) as server:
        web = Web(resolve=Names(example_com=[["8.8.8.8", PUBLIC]]), plain_http=True, timeout=60)
        dialled = outside(web, server.port)
        dialled.silent.add("8.8.8.8")
        assert (await web.request("GET", "http://example.com/", timeout=120)).body == b"second"
    assert dialled.shares == [60.0, 60.0]


async def test_a_name_without_an_address_may_have_one_later() -> None:
    web = Web(resolve=Names(example_com=[[]]), timeout=60)
    with pytest.raises(WebError, match="no address") as caught:
        await web.request("GET", "https://example.com/")
    assert not isinstance(caught.value, BlockedAddressError)


async def test_the_systems_resolver_gives_numbers_and_says_what_it_does_not_know() -> None:
    assert await look_up("8.8.8.8", 443) == ["8.8.8.8"]
    with pytest.raises(WebError, match="cannot be resolved"):
        await look_up(f"{'a' * 64}.example", 443)


async def test_no_password_or_query_of_a_refused_url_is_told() -> None:
    for url in ("ftp://me:canary1@example.com/?token=canary2", "https://me:canary1@example.com/?token=canary2"):
        with pytest.raises(BlockedAddressError) as caught:
            Web().examine(url)
        assert "canary" not in str(caught.value)
