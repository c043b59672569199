"""The guarded fetcher: nothing but the internet is dialled (OWASP API7:2023, server-side request forgery)."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address

import pytest
from knowledge_parts import Site, serving

from headrace.data.fetch import Fetcher, connect
from headrace.data.fetch_hosts import is_global, target
from headrace.data.fetch_polite import Polite
from headrace.errors import InputError

PUBLIC = "93.184.216.34"
# Each would reach something of ours if it were fetched as some reader reads it.
CORPUS = [
    "http://127.0.0.1/", "http://127.1/", "http://127.0.1/", "http://2130706433/", "http://0x7f000001/",
    "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/", "http://127.0.0.1./", "http://0/",
    "http://0.0.0.0/", "http://00000000/", "http://127.000.000.001/", "http://[::1]/", "http://[::]/",
    "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/", "http://[fe80::1]/", "http://[fc00::1]/", "http://[fec0::1]/", "http://[ff02::1]/",
    "http://[2001:0:53aa:64c:0:0:80ff:fffe]/", "http://[::1%25eth0]/", "http://localhost/", "http://LOCALHOST./",
    "http://10.0.0.1/", "http://172.16.0.1/", "http://192.168.1.1/", "http://169.254.169.254/latest/meta-data/",
    "http://100.64.0.1/", "http://100.100.100.200/", "http://192.0.0.1/", "http://198.18.0.1/",
    "http://224.0.0.1/", "http://240.0.0.1/", "http://255.255.255.255/", "http://192.88.99.1/",
    "http://good.test@127.0.0.1/", "http://127.0.0.1@good.test/", "http://good.test:80@127.0.0.1/",
    "http://good.test\\@127.0.0.1/", "http:\\\\127.0.0.1/", "http://good.test\\.127.0.0.1/", "http:///127.0.0.1/",
    "http://%31%32%37.0.0.1/", "http://127%2e0.0.1/", "http://good.test%00.evil/", "http://good.test%2f@127.0.0.1/",
    "http://１２７.0.0.1/", "http://①②⑦.0.0.1/", "http://127。0。0。1/", "http://ⓛocalhost/",
    "http://good.test\t.evil/", "http://good.test\r\nHost: evil/", "http:// 127.0.0.1/", "file:///etc/passwd",
    "gopher://127.0.0.1/", "ftp://good.test/", "http://good.test:0/", "http://good.test:99999/", "//good.test/",
    "http://inside.test/", "http://mixed.test/", "http://mapped.test/", "http://scoped.test/", "http://nat64.test/",
    "javascript:alert(1)", "", "http://", "http://[127.0.0.1]/", "http://good.test:80:80/",
]  # fmt: skip
NAMES = {
    "localhost": ["127.0.0.1"],
    "inside.test": ["10.1.2.3"],
    "mixed.test": [PUBLIC, "127.0.0.1"],
    "mapped.test": ["::ffff:10.0.0.1"],
    "scoped.test": ["fe80::1%eth0"],
    "nat64.test": ["64:ff9b::a00:1"],
    "meta.test": ["169.254.169.254"],
}


class Spy:
    """Resolves as a table says and counts what is dialled; what is global is connected to a local site."""

    def __init__(self, site: Site | None = None) -> None:
        self.site, self.dialled, self.asked = site, [], []  # type: ignore[var-annotated]

    def resolver(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        try:
            return [str(ip_address(host))]
        except ValueError:
            return NAMES.get(host, [PUBLIC])

    def connector(self, address: str, port: int, seconds: float) -> socket.socket:
        self.dialled.append(address)
        if self.site is None:
            raise ConnectionRefusedError(111, "Connection refused")
        return connect("127.0.0.1", self.site.port, seconds)

    def fetcher(self, **more: object) -> Fetcher:
        return Fetcher(resolver=self.resolver, connector=self.connector, **more)  # type: ignore[arg-type]


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as found:
        yield found


@pytest.mark.parametrize("url", CORPUS)
def test_nothing_within_a_network_is_dialled(url: str) -> None:
    spy = Spy()
    with pytest.raises(InputError):
        spy.fetcher().get(url)
    assert [address for address in spy.dialled if not is_global(ip_address(address))] == []
    assert spy.dialled == []


def test_the_corpus_is_as_large_as_it_is_said() -> None:
    assert len(set(CORPUS)) >= 60


def test_the_systems_own_resolver_and_connector_are_guarded_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: list[object] = []
    real = socket.create_connection

    def spied(address: tuple[str, int], timeout: float) -> socket.socket:
        dialled.append(address)
        return real(address, timeout)

    monkeypatch.setattr(socket, "create_connection", spied)
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(InputError, match="allow"):
            Fetcher().get(f"http://{host}:{site.port}/")
    assert (dialled, site.asked) == ([], [])


@pytest.mark.parametrize("to", [url for url in CORPUS if url.startswith("http")])
def test_a_redirect_is_checked_as_the_first_address_is(site: Site, to: str) -> None:
    location = to.encode("utf-8").decode("latin-1").replace("\r\n", "%0d").replace("\t", " ")
    site.pages["/"] = (302, {"Location": location}, b"")
    spy = Spy(site)
    with pytest.raises(InputError):
        spy.fetcher().get("http://good.test/")
    assert spy.dialled == [PUBLIC] * len(spy.dialled)


def test_a_name_that_changes_its_address_is_asked_once_and_that_address_dialled(site: Site) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    spy = Spy(site)
    site.page("/", "hello")
    got = Fetcher(resolver=lambda host, port: next(answers), connector=spy.connector).get(
        "http://rebind.test/"
    )
    assert (got.status, got.body, spy.dialled) == (200, b"hello", [PUBLIC])
    assert site.asked[0][1]["host"] == "rebind.test"


def test_three_redirects_are_followed_and_a_fourth_is_not(site: Site) -> None:
    for n in range(5):
        site.pages[f"/{n}"] = (302, {"Location": f"/{n + 1}"}, b"")
    site.page("/3", "here")
    assert Spy(site).fetcher().get("http://good.test/0").url == "http://good.test/3"
    site.pages["/3"] = (302, {"Location": "/4"}, b"")
    site.page("/4", "too far")
    with pytest.raises(InputError, match="more than 3 redirects"):
        Spy(site).fetcher().get("http://good.test/0")


def test_an_owner_may_allow_a_host_of_the_own_network_and_no_other(site: Site) -> None:
    site.page("/", "hello")
    fetcher = Fetcher(allow=(f"127.0.0.1:{site.port}", "127.0.0.2", "meta.test"), resolver=Spy().resolver)
    assert fetcher.get(f"http://127.0.0.1:{site.port}/").body == b"hello"
    for url in (f"http://localhost:{site.port}/", f"http://127.0.0.2:{site.port}/", "http://meta.test/"):
        with pytest.raises(InputError):
            fetcher.get(url)
    assert len(site.asked) == 1


@pytest.mark.parametrize("packed", [False, True])
def test_five_megabytes_are_the_most_before_and_after_unpacking(site: Site, packed: bool) -> None:
    body = b"a" * 3_000
    sent = gzip.compress(body) if packed else body
    site.pages["/"] = (200, {"Content-Encoding": "gzip"} if packed else {}, sent)
    assert Spy(site).fetcher(most=3_000).get("http://good.test/").body == body
    with pytest.raises(InputError, match="larger than"):
        Spy(site).fetcher(most=2_999).get("http://good.test/")


def test_a_bomb_is_stopped_before_it_is_unpacked(site: Site) -> None:
    bomb = gzip.compress(b"\x00" * 100_000_000, 9)
    assert len(bomb) < 200_000
    site.pages["/"] = (200, {"Content-Encoding": "gzip"}, bomb)
    began = time.monotonic()
    with pytest.raises(InputError, match="larger than"):
        Spy(site).fetcher().get("http://good.test/")
    assert time.monotonic() - began < 2


def test_a_page_that_ends_too_early_is_no_page(site: Site) -> None:
    site.pages["/"] = (200, {"Content-Length": "500"}, b"half")
    with pytest.raises(InputError, match=r"too early|too long"):
        Spy(site).fetcher(seconds=0.5).get("http://good.test/")


def test_a_page_that_drips_ends_at_the_deadline() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        peer, _ = listener.accept()
        with peer:
            for byte in b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100:
                if stop.wait(0.02):
                    return
                peer.sendall(bytes([byte]))

    where = f"127.0.0.1:{listener.getsockname()[1]}"
    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    began = time.monotonic()
    with pytest.raises(InputError, match="too long"):
        Fetcher(allow=(where,), seconds=0.4).get(f"http://{where}/")
    stop.set()
    thread.join(2)
    listener.close()
    assert time.monotonic() - began < 2


def test_a_resolver_that_hangs_ends_at_the_deadline() -> None:
    def hang(host: str, port: int) -> Sequence[str]:
        time.sleep(2)
        return [PUBLIC]

    began = time.monotonic()
    with pytest.raises(InputError, match="too long"):
        Fetcher(resolver=hang, seconds=0.2).get("http://slow.test/")
    assert time.monotonic() - began < 1


def test_an_error_repeats_no_user_and_no_password() -> None:
    with pytest.raises(InputError) as caught:
        target("http://anna:geheim123@good.test/")
    assert "geheim123" not in str(caught.value)


def _polite(site: Site, **more: object) -> tuple[Polite, list[float]]:
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))
        now[0] += seconds

    asker = Polite(Spy(site).fetcher(), clock=lambda: now[0], sleep=sleep, **more)  # type: ignore[arg-type]
    return asker, slept


def test_robots_are_asked_once_and_their_word_and_delay_are_kept(site: Site) -> None:
    site.page(
        "/robots.txt", "User-agent: *\nDisallow: /private\nCrawl-delay: 3\nSitemap: http://good.test/s.xml\n"
    )
    site.page("/a", "a")
    asker, slept = _polite(site, delay=1.0)
    assert asker.get("http://good.test/a").body == b"a"
    asker.get("http://good.test/a")
    with pytest.raises(InputError, match=r"robots\.txt"):
        asker.get("http://good.test/private/x")
    assert asker.sitemaps(target("http://good.test/")) == ("http://good.test/s.xml",)
    assert [path for path, _ in site.asked] == ["/robots.txt", "/a", "/a"]
    assert slept == [3.0, 3.0]


@pytest.mark.parametrize(("status", "allowed"), [(404, True), (403, True), (500, False)])
def test_robots_that_are_not_there_allow_and_those_that_fail_do_not(
    site: Site, status: int, allowed: bool
) -> None:
    site.pages["/robots.txt"] = (status, {}, b"")
    site.page("/a", "a")
    asker, _ = _polite(site)
    got: Callable[[], object] = lambda: asker.get("http://good.test/a")  # noqa: E731
    if allowed:
        got()
    else:
        with pytest.raises(InputError, match="500"):
            got()
