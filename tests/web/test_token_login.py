"""Logging in by an API token, over each engine: what the session may do, and when it ends."""

import pytest
from fastapi import FastAPI

from corral.admin.objects import Actor
from corral.errors import ConfigError
from corral.http import create_app
from corral.http.home import Api
from corral.storage.port import Storage
from tests.web.conftest import TOKENS, make_client, make_settings
from tests.web.forgery import SECRET, signed

HERE = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize("role", sorted(TOKENS))
async def test_a_token_of_the_settings_begins_a_session_of_its_role(app: FastAPI, role: str) -> None:
    async with make_client(app) as client, make_client(app, TOKENS[role]) as bearer:
        answer = await client.post("/login", json={"token": TOKENS[role]})
        assert (answer.status_code, answer.json()["sub"], answer.json()["roles"]) == (200, role, [role])
        assert answer.json()["token"] is None
        session, shown = (await client.get("/me")).json(), (await bearer.get("/me")).json()
    assert session["method"] == "session"
    same = ("sub", "roles", "permissions", "queues", "read_only")
    assert [session[name] for name in same] == [shown[name] for name in same]


async def test_a_session_may_be_shown_in_a_header_and_ends_when_its_token_is_revoked(home: Api, app: FastAPI) -> None:
    desk = home.admin.by(Actor(sub="test"))
    clear, token = await desk.create_token("ci", "operator", ["mail*"])
    async with make_client(app) as client:
        text = (await client.post("/login", json={"token": clear, "bearer": True})).json()["token"]
    async with make_client(app, text) as client:
        me = (await client.get("/me")).json()
        assert (me["roles"], me["queues"], me["method"]) == (["operator"], ["mail*"], "session")
        used = {one.id: one.used_at for one in await desk.tokens()}
        assert used[token.id] is not None
        await desk.revoke_token(token.id)
        assert (await client.get("/me")).status_code == 401


async def test_a_session_ends_when_its_token_does(home: Api, app: FastAPI) -> None:
    ends = home.monitor.at() + 60_000
    clear, token = await home.admin.by(Actor(sub="test")).create_token("ci", "operator", ["*"], ends)
    found = await home.recogniser.log_in(clear)
    assert found is not None
    session, _ = found
    assert (session.expires_at, session.shown) == (ends, f"id:{token.id}")
    who = await home.recogniser.whose(session)
    assert who is not None
    assert (who.id, who.sub, who.expires_at) == (token.id, "ci", ends)


async def test_a_session_of_one_token_does_not_pass_for_another_s(home: Api, app: FastAPI) -> None:
    sessions = home.recogniser.sessions
    for shown in ("", "id:", "id:0123456789", "mark:", "mark:00", sessions.mark(b"another digest")):
        session, text = sessions.start("admin", "token", shown=shown)
        assert await home.recogniser.whose(session) is None
        async with make_client(app, text) as client:
            assert (await client.get("/me")).status_code == 401


async def test_a_signed_token_begins_no_session(storage: Storage) -> None:
    app = create_app(storage, settings=make_settings(jwt_secret=SECRET))
    async with make_client(app) as client:
        answer = await client.post("/login", json={"token": signed()})
    await app.state.corral.close()
    assert answer.status_code == 401
    assert "in the header Authorization" in answer.json()["detail"]


async def test_an_address_with_a_token_of_the_store_in_it_logs_nobody_in(storage: Storage) -> None:
    app = create_app(storage, settings=make_settings(tokens=""))
    home: Api = app.state.corral
    await home.open()
    clear, _ = await home.admin.by(Actor(sub="test")).create_token("ci", "admin")
    async with make_client(app) as client:
        client.base_url = "http://localhost/api/v1"
        answer = await client.get("/login", params={"token": clear})
    await home.close()
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


async def test_a_dry_run_needs_no_reason_and_the_deed_does(storage: Storage) -> None:
    app = create_app(storage, settings=make_settings(require_reason=True))
    async with make_client(app, TOKENS["admin"]) as client:
        body = {"action": "retry", "select": {"q": "queue:nothing"}}
        assert (await client.post("/jobs/bulk", json={**body, "dry_run": True})).status_code == 200
        answer = await client.post("/jobs/bulk", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "reason-required")
        assert (await client.post("/jobs/bulk", json={**body, "reason": "why not"})).status_code == 200
    await app.state.corral.close()


@pytest.mark.parametrize(
    "wrong",
    [{"frame_ancestors": "*"}, {"frame_ancestors": "https://a.test; script-src *"}, {"frame_ancestors": "'self'"},
     {"frame_ancestors": "javascript:x"}, {"env_color": "url(x)"}],
)  # fmt: skip
def test_what_becomes_part_of_a_page_s_policy_is_read_strictly(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        make_settings(**wrong)
