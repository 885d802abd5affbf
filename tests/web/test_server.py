"""A real `corral api` process: who it starts for, what it says, how it stops."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from corral.cli.main import corral
from corral.errors import ConfigError
from corral.http import ApiSettings, create_app, hash_password
from corral.http.auth.passwords import read_hash
from corral.http.server import ECHO, Server, check_exposed, is_local, listen
from tests.redis_server import RedisServer, free_port
from tests.web.conftest import make_settings
from tests.web.serving import PATIENCE, Process, fetch, until

TOKEN = "the-token-of-the-ci-system"
ENV = {
    "CORRAL_API_TOKENS": f"ci:admin:{TOKEN}", "CORRAL_API_READ_TIMEOUT": "60", "CORRAL_API_RATE_LIMITS": "false",
}  # fmt: skip
WORDS = ("--url", "sqlite:///jobs.db", "--port", "0")


def test_it_serves_and_sigterm_ends_it_with_code_0(tmp_path: Path) -> None:
    with Process(tmp_path, *WORDS, "--drain-delay", "0s", "--env-label", "staging", env=ENV) as api:
        url = api.url()
        assert "staging" in api.lines[0]
        assert fetch(f"{url}/readyz") == (200, "ok")
        assert json.loads(fetch(f"{url}/api/v1/me", TOKEN)[1])["sub"] == "ci"
        assert fetch(f"{url}/api/v1/me")[0] == 401
        api.stop()
        assert api.code() == 0
    assert not any(word in "\n".join(api.lines) for word in ("Traceback", TOKEN, "ERROR"))


def test_ctrl_c_ends_it_at_once_with_code_0(tmp_path: Path) -> None:
    with Process(tmp_path, *WORDS, "--drain-delay", "1h", env=ENV) as api:
        until(f"{api.url()}/readyz", 200)
        api.stop(signal.SIGINT)
        assert api.code() == 0


def test_told_to_stop_it_says_that_it_is_not_ready_and_serves_on(tmp_path: Path) -> None:
    with Process(tmp_path, *WORDS, "--drain-delay", "1h", env=ENV) as api:
        url = api.url()
        api.line("Ctrl-C")
        until(f"{url}/readyz", 200)
        api.stop()
        assert "draining" in until(f"{url}/readyz", 503)
        assert fetch(f"{url}/livez")[0] == 200
        assert fetch(f"{url}/api/v1/me", TOKEN)[0] == 200
        heard = time.monotonic()
        while time.monotonic() < heard + 2 * ECHO:  # a signal that follows at once is the same order
            assert fetch(f"{url}/livez")[0] == 200
        api.stop()
        assert api.code() == 0


def test_streams_end_when_it_ends(tmp_path: Path) -> None:
    with Process(tmp_path, *WORDS, "--drain-delay", "0s", env=ENV) as api:
        host, _, port = api.url().removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as stream:
            head = f"GET /api/v1/events?topics=counts HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            stream.sendall(head.encode())
            told = stream.makefile("rb")
            while b"event: hello" not in told.readline():
                pass
            api.stop()
            assert b"event: bye" in told.read()
            assert api.code() == 0


def test_with_nothing_configured_it_prints_a_token_once(tmp_path: Path) -> None:
    with Process(tmp_path, *WORDS, "--drain-delay", "0s", env={"CORRAL_API_READ_TIMEOUT": "60"}) as api:
        url = api.url()
        token = api.line("token:").rpartition(" ")[2]
        assert url.startswith("http://127.0.0.1:")
        assert fetch(f"{url}/api/v1/me", token)[0] == 401
        status, text = fetch(f"{url}/api/v1/login", body={"token": token, "bearer": True})
        assert status == 200
        session = json.loads(text)["token"]
        assert json.loads(fetch(f"{url}/api/v1/me", session)[1])["roles"] == ["admin"]
        assert fetch(f"{url}/api/v1/login", body={"token": token})[0] == 401
        api.stop()
        assert api.code() == 0
    assert "\n".join(api.lines).count(token) == 1
    assert session not in "\n".join(api.lines)


@pytest.mark.parametrize(
    ("words", "env", "message"),
    [
        (["--host", "0.0.0.0"], {}, "nobody has said who may come in"),
        (["--host", "::"], {}, "nobody has said who may come in"),
        (["--host", "example.com"], {}, "nobody has said who may come in"),
        (["--workers", "2"], {}, "--workers needs configured authentication"),
        (["--workers", "2", "--port", "0"], ENV, "--workers needs a --port"),
        (["--insecure-no-auth"], ENV, "cannot go with"),
        (["--auth", "jwt"], {}, "nothing is configured"),
        (["--trusted-proxy", "everybody"], {}, "trusted_proxies"),
        (["--user", "dan"], {}, "name:role"),
        (["--user", "dan:admin"], {}, "needs a terminal"),
        ([], {"CORRAL_API_TOKENS": "ci:admin:short"}, "20 characters"),
        ([], {"CORRAL_API_PORT": "many"}, "CORRAL_API_PORT"),
        (["--url", "mysql://x"], ENV, "unknown scheme"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_it_does_not_start_where_that_would_be_unsafe_or_senseless(
    words: list[str], env: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(corral, ["api", "--url", "sqlite:///jobs.db", *words])
    assert (result.exit_code, message in result.output) == (2, True), result.output
    assert "short" not in result.output.replace(message, "")


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, False), ({"host": "localhost"}, False), ({"host": "::1"}, False), ({"host": "[::1]"}, False),
        ({"host": "127.0.0.53"}, False), ({"host": "0.0.0.0"}, True), ({"host": "::"}, True), ({"host": ""}, True),
        ({"host": "192.168.1.7"}, True), ({"host": "localhost.evil.test"}, True),
        ({"host": "0.0.0.0", "insecure_no_auth": True}, False), ({"host": "0.0.0.0", "auth": "tokens"}, False),
        ({"host": "0.0.0.0", "tokens": f"ci:admin:{TOKEN}"}, False), ({"host": "::", "jwt_secret": "x" * 32}, False),
        ({"host": "::", "metrics_password": "of a scraper"}, True),
        ({"host": "::", "trusted_proxies": "10.0.0.0/8"}, True),
    ],
)  # fmt: skip
def test_the_start_matrix(settings: dict[str, object], refused: bool) -> None:
    made = ApiSettings(**settings)
    assert refused == (not (is_local(made.host) or made.configured or made.insecure_no_auth))
    outcome = pytest.raises(ConfigError) if refused else pytest.MonkeyPatch.context()
    with outcome:
        check_exposed(made)
    check_exposed(made, hook=True)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            listen(ApiSettings(port=port))


def test_settings_come_from_the_file_below_variables_below_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corral.toml").write_text(
        'url = "sqlite:///x.db"\n[api]\nport = 1001\nhost = "::1"\nread_only = true\n'
    )
    monkeypatch.setenv("CORRAL_API_PORT", "1002")
    monkeypatch.setenv("CORRAL_API_ALLOWED_ORIGINS", "https://a.test, https://b.test")
    monkeypatch.setenv("CORRAL_API_QUEUE_RATES", "mail*=3/min, *=9/s")
    monkeypatch.setenv("CORRAL_API_TRUSTED_PROXIES", "10.0.0.0/8,fd00::/8")
    found = ApiSettings()
    assert (found.host, found.port, found.read_only) == ("::1", 1002, True)
    assert found.allowed_origins == ("https://a.test", "https://b.test")
    assert found.queue_rates == {"mail*": "3/min", "*": "9/s"}
    assert [str(one) for one in found.trusted_proxies] == ["10.0.0.0/8", "fd00::/8"]
    assert ApiSettings(port=1003).port == 1003
    (tmp_path / "corral.toml").write_text("[api]\nprot = 1\n")
    with pytest.raises(ConfigError, match="did you mean 'port'"):
        ApiSettings()
    (tmp_path / "corral.toml").write_text("api = 1\n")
    with pytest.raises(ConfigError, match="must be a table"):
        ApiSettings()


def test_a_password_is_hashed_for_the_settings(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "corral.cli", "api", "--hash-password"], input="correct horse battery\n",
        capture_output=True, text=True, timeout=PATIENCE, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert read_hash(done.stdout.strip()).cost == 14
    assert "horse" not in done.stdout + done.stderr


def test_several_processes_share_a_port_and_what_sessions_are_signed_with(tmp_path: Path) -> None:
    env = {**ENV, "CORRAL_API_USERS": f"dan:viewer:{hash_password('correct horse', cost=4, passes=1)}"}
    port = free_port()
    words = ("--url", "sqlite:///jobs.db", "--port", str(port), "--workers", "2", "--drain-delay", "0s")
    with Process(tmp_path, *words, env=env) as api:
        first, second = api.url(), api.url()
        assert first == second == f"http://127.0.0.1:{port}"
        pids = set(re.findall(r"pid (\d+)", "\n".join(api.lines)))
        assert len(pids) == 2
        until(f"{first}/readyz", 200)
        status, text = fetch(f"{first}/api/v1/login", body={"name": "dan", "password": "correct horse", "bearer": True})
        assert status == 200
        session = json.loads(text)["token"]
        assert {fetch(f"{first}/api/v1/me", session)[0] for _ in range(20)} == {200}  # a new connection each
        api.stop()
        assert api.code() == 0


def test_while_the_store_is_away_it_stays_up_and_it_heals(tmp_path: Path) -> None:
    with RedisServer() as redis:
        env = {**ENV, "CORRAL_API_READ_TIMEOUT": "10"}
        with Process(tmp_path, "--url", redis.url, "--port", "0", "--drain-delay", "0s", env=env) as api:
            url = api.url()
            until(f"{url}/api/v1/queues", 200, TOKEN)
            redis.kill()
            text = until(f"{url}/api/v1/queues", 503, TOKEN)
            assert json.loads(text)["code"] == "engine-unavailable"
            assert str(redis.port) not in text
            assert fetch(f"{url}/livez")[0] == 200
            until(f"{url}/readyz", 503)
            redis.start()
            until(f"{url}/api/v1/queues", 200, TOKEN)
            until(f"{url}/readyz", 200)
            api.stop()
            assert api.code() == 0


def test_it_starts_before_its_store_does(tmp_path: Path) -> None:
    with RedisServer() as redis:
        redis.kill()
        with Process(tmp_path, "--url", redis.url, "--port", "0", "--drain-delay", "0s", env=ENV) as api:
            url = api.url()
            assert fetch(f"{url}/livez")[0] == 200
            assert fetch(f"{url}/readyz")[0] == 503
            assert fetch(f"{url}/api/v1/queues", TOKEN)[0] == 503
            redis.start()
            until(f"{url}/api/v1/queues", 200, TOKEN)
            until(f"{url}/readyz", 200)
            api.stop()
            assert api.code() == 0


def test_the_server_does_not_believe_headers_and_does_not_say_what_it_is() -> None:
    app = create_app("sqlite:///:memory:", settings=make_settings())
    config = Server(app, app.state.corral).config
    assert (config.proxy_headers, config.server_header, config.access_log) == (False, False, False)
    assert config.timeout_graceful_shutdown == 10
