"""How health is answered: paths, status, lists, and how little strangers learn."""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence

import pytest

from corral.errors import ConfigError, StorageUnavailableError
from corral.observe import health as health_module
from corral.observe.checks import Answer, Check, respond
from corral.observe.health import ApiHealth, WorkerHealth
from corral.observe.listener import Ask, Listener, is_local
from corral.storage.connect import connect
from corral.storage.passing import Passing
from corral.storage.port import QueueCounts, Storage

CHECKS: Mapping[str, Sequence[Check]] = {
    "livez": (Check("loop", lambda: None),),
    "readyz": (Check("store", lambda: "redis://secret-host is away"), Check("draining", lambda: None)),
}


def body(path: str, **more: object) -> str:
    found = respond(CHECKS, path, **more)  # type: ignore[arg-type]  # of any test
    assert found is not None
    return found.body


def status(path: str, **more: object) -> int | None:
    found = respond(CHECKS, path, **more)  # type: ignore[arg-type]  # of any test
    return None if found is None else found.status


def test_all_well_is_200_and_anything_else_503() -> None:
    assert (status("/livez"), body("/livez")) == (200, "ok")
    assert status("/readyz") == 503
    assert status("/readyz", query="exclude=store") == 200
    assert status("/healthz") == 503
    assert (status("/readyz/draining"), status("/readyz/store"), status("/readyz/moon")) == (200, 503, 404)
    assert status("/elsewhere") is None


def test_reasons_are_told_to_those_only_who_may_know_them() -> None:
    assert "[-]store failed: reason withheld" in body("/readyz", query="verbose")
    assert "secret-host" not in body("/readyz", accept="application/json")
    assert "[-]store failed: redis://secret-host is away" in body("/readyz", details=True)
    told = json.loads(body("/readyz", accept="application/json", details=True))
    assert told == {
        "status": "failed",
        "checks": [
            {"name": "store", "ok": False, "reason": "redis://secret-host is away"}, {"name": "draining", "ok": True}
        ],
    }  # fmt: skip


def test_an_excluded_name_cannot_forge_a_line() -> None:
    assert "forged" not in body("/readyz", query="exclude=a%0A[%2B]forged&verbose")


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False),
     ("::ffff:10.0.0.1", False), ("fe80::1%eth0", False), ("", False)],
)  # fmt: skip
def test_this_machine_is_told_from_others(address: str, local: bool) -> None:
    assert is_local((address, 1)) is local


def test_before_there_is_a_worker_a_process_lives_and_is_not_ready() -> None:
    found = WorkerHealth()
    assert found.live()
    answers = {path: respond(found.checks, path) for path in ("/livez", "/readyz", "/startupz")}
    assert {path: answer and answer.status for path, answer in answers.items()} == {
        "/livez": 200, "/readyz": 503, "/startupz": 503,
    }  # fmt: skip


# -- the API's process -------------------------------------------------------------------------------------------------


class Moody(Passing):
    """A store that can be away, and counts how often it was asked."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.away = False
        self.hangs = False
        self.asked = 0

    async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise StorageUnavailableError("no answer from secret-host")
        return await self.inner.counts(queues)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may take its time; nothing is remembered."""
    monkeypatch.setattr(health_module, "PING", 30.0)
    monkeypatch.setattr(health_module, "PING_FRESH", 0.0)


async def test_an_api_is_ready_while_its_store_answers(patient: None) -> None:
    async with connect("sqlite:///:memory:") as storage:
        moody = Moody(storage)
        async with ApiHealth(moody) as health:
            assert (await health.answer("/readyz")).status == 200
            moody.away = True
            assert (await health.answer("/readyz")).status == 503
            assert "secret-host" not in (await health.answer("/readyz", query="verbose")).body
            assert (await health.answer("/livez")).status == 200
            assert (await health.answer("/nothing")).status == 404
            moody.away = False
            assert (await health.answer("/readyz")).status == 200
            health.draining = True
            assert "[-]draining" in (await health.answer("/readyz")).body


async def test_a_store_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "PING", 0.05)
    async with connect("sqlite:///:memory:") as storage:
        moody = Moody(storage)
        moody.hangs = True
        async with ApiHealth(moody) as health:
            assert "no answer within 0.05 s" in (await health.answer("/readyz", details=True)).body


async def test_a_hundred_probes_ask_the_store_once_and_life_never_does(
    patient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "PING_FRESH", 60.0)
    async with connect("sqlite:///:memory:") as storage:
        moody = Moody(storage)
        async with ApiHealth(moody) as health:
            await asyncio.gather(*(health.answer("/livez") for _ in range(100)))
            assert moody.asked == 0
            await asyncio.gather(*(health.answer("/readyz") for _ in range(100)))
        assert moody.asked == 1


async def test_a_store_that_cannot_be_opened_yet_is_asked_for_again(patient: None) -> None:
    async with connect("sqlite:///:memory:") as storage:
        there: list[Storage] = []

        async def store() -> Storage:
            if not there:
                raise StorageUnavailableError("not yet")
            return there[0]

        async with ApiHealth(store) as health:
            assert (await health.answer("/readyz")).status == 503
            there.append(storage)
            assert (await health.answer("/readyz")).status == 200
            assert (await health.answer("/startupz")).status == 200


async def test_before_it_is_entered_an_api_has_not_started() -> None:
    async with connect("sqlite:///:memory:") as storage:
        assert (await ApiHealth(storage).answer("/startupz")).status == 503


# -- the server in threads ---------------------------------------------------------------------------------------------


def say(ask: Ask) -> Answer | None:
    return Answer(200, "text/plain", f"{ask.path} {ask.query} {ask.local}") if ask.path == "/say" else None


def test_a_listener_answers_and_tells_nothing_of_itself() -> None:
    with Listener(say) as listener:
        base = f"http://127.0.0.1:{listener.port}"
        with urllib.request.urlopen(f"{base}/say?a=1", timeout=30) as answer:
            assert answer.read() == b"/say a=1 True"
            assert answer.headers["Server"].strip() == "corral"
            assert answer.headers["Cache-Control"] == "no-store"
        head = urllib.request.Request(f"{base}/say", method="HEAD")
        with urllib.request.urlopen(head, timeout=30) as answer:
            assert answer.read() == b""
        for request, code in ((f"{base}/else", 404), (urllib.request.Request(f"{base}/say", method="POST"), 501)):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=30)
            assert caught.value.code == code
            caught.value.close()


def test_a_port_that_is_taken_is_a_mistake_of_the_configuration() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1"):
            Listener(say, port=taken.getsockname()[1])


def test_rubbish_on_the_wire_does_not_end_the_listener() -> None:
    with Listener(say) as listener:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=30) as rude:
            rude.sendall(b"\x00\xff garbage\r\n\r\n")
            assert b"400" in rude.recv(1_000)
        with urllib.request.urlopen(f"http://127.0.0.1:{listener.port}/say", timeout=30) as answer:
            assert answer.status == 200
