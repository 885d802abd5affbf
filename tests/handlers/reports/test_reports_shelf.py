"""Documents on the shelf: kept, found, handed out by link, removed."""

import asyncio
import os
import stat
from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from corral.handlers.kit.database import Database
from corral.handlers.reports import SCHEMA, Downloads, Entry, FolderShelf, Links, Rendered, Stored, Swept
from tests.handlers.databases import differences, opened_at_once

from .conftest import SECRET
from .samples import DAY, NOW, now

HTML = Rendered("html", "text/html; charset=utf-8", b"<p>Hello")


def entry(run: str = "run-1", **change: object) -> Entry:
    facts: dict[str, object] = {
        "run": run, "report_id": "r-1", "kind": "weekly-report", "about": "org-1", "requested_by": "user-1",
        "title": "Weekly team report", "period": "6–12 Oct 2025", "first_day": date(2025, 10, 6),
        "last_day": date(2025, 10, 12), "filename": "weekly-report-20251006-20251012.html",
    }  # fmt: skip
    return Entry(**{**facts, **change})  # type: ignore[arg-type]


async def test_the_migrations_make_the_tables_that_the_code_declares(app_database: str) -> None:
    assert await differences(app_database, SCHEMA) == []


async def test_several_may_open_a_new_database_at_once(app_database: str) -> None:
    assert await opened_at_once(app_database, SCHEMA) == ["0001"] * 4


async def test_a_document_is_kept_found_read_and_removed_when_it_expires(database: Database, tmp_path: Path) -> None:
    time = [NOW]
    shelf = FolderShelf(tmp_path / "shelf", database, keep_days=2, clock=lambda: time[0])

    stored = await shelf.put(entry(), HTML)

    assert await shelf.find(stored.id) == stored
    assert await shelf.read(stored) == b"<p>Hello"
    assert (stored.bytes, stored.expires_at) == (8, NOW + 2 * DAY)
    assert shelf.link(stored) is None
    time[0] += 2 * DAY
    assert await shelf.find(stored.id) is None
    assert await shelf.sweep(dry_run=True) == Swept(1, 8, 0, True)
    assert await shelf.sweep() == Swept(1, 8, 0)
    assert await shelf.sweep() == Swept(0, 0, 0)
    assert await shelf.read(stored) is None


async def test_a_second_document_of_a_job_takes_the_place_of_the_first(database: Database, tmp_path: Path) -> None:
    shelf = FolderShelf(tmp_path, database, clock=now)
    first = await shelf.put(entry(), HTML)

    second = await shelf.put(entry(title="Again"), Rendered("html", "text/html", b"new"))

    assert second.id == first.id
    assert await shelf.read(second) == b"new"
    assert [one.title for one in await shelf.of("org-1")] == ["Again"]
    assert (await shelf.put(entry("run-2"), HTML)).id != first.id


async def test_documents_are_listed_by_whom_they_are_about_newest_first(database: Database, tmp_path: Path) -> None:
    time = [NOW]
    shelf = FolderShelf(tmp_path, database, clock=lambda: time[0])
    for run, about, kind in (("a", "org-1", "x"), ("b", "org-2", "x"), ("c", "org-1", "y"), ("d", "org-1", "x")):
        await shelf.put(entry(run, about=about, kind=kind), HTML)
        time[0] += 1

    assert [one.run for one in await shelf.of("org-1")] == ["d", "c", "a"]
    assert [one.run for one in await shelf.of("org-1", kind="x", limit=1)] == ["d"]
    assert await shelf.of("org-3") == []


async def test_many_expired_documents_are_removed_a_bounded_number_at_a_time(
    database: Database, tmp_path: Path
) -> None:
    time = [NOW]
    shelf = FolderShelf(tmp_path, database, keep_days=1, clock=lambda: time[0])
    for number in range(12):
        await shelf.put(entry(f"run-{number}"), HTML)
    time[0] += 2 * DAY

    assert [(await shelf.sweep(limit=5)).documents for _ in range(4)] == [5, 5, 2, 0]


async def test_several_sweeps_at_once_remove_each_document_once(shelf: FolderShelf, tmp_path: Path) -> None:
    for number in range(8):
        await shelf.put(entry(f"run-{number}"), HTML)
    shelf.clock = lambda: NOW + 40 * DAY

    await asyncio.gather(*(shelf.sweep() for _ in range(4)))

    assert [path for path in (tmp_path / "shelf").rglob("*") if path.is_file()] == []
    assert await shelf.sweep() == Swept(0, 0, 0)


async def test_files_of_which_no_row_tells_are_removed_after_a_day_and_nothing_else_is(
    shelf: FolderShelf, tmp_path: Path
) -> None:
    stored = await shelf.put(entry(), HTML)
    folder = tmp_path / "shelf" / stored.id[:2]
    lost = "ab" * 20
    others = (f"{lost}.html", f"{lost}.x1.part", f"{lost}.exe", "notes.html", f"{stored.id}.pdf")
    for name in others:
        (folder / name).write_text("x")
        os.utime(folder / name, (NOW / 1000 - 90_000, NOW / 1000 - 90_000))
    (folder / f"{'cd' * 20}.html").write_text("young")
    os.utime(folder / f"{'cd' * 20}.html", (NOW / 1000, NOW / 1000))
    (folder / f"{'ef' * 20}.html").symlink_to(tmp_path / "canary")

    assert (await shelf.sweep()).orphans == 2

    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [f"{stored.id}.html", *others[2:], f"{'cd' * 20}.html", f"{'ef' * 20}.html"]
    )


async def test_files_are_their_owners_alone_and_named_by_nothing_a_job_says(shelf: FolderShelf, tmp_path: Path) -> None:
    evil = entry("../../evil", title="../../x", about="/etc", filename="x.html", kind="../k")

    stored = await shelf.put(evil, HTML)

    (path,) = [path for path in (tmp_path / "shelf").rglob("*") if path.is_file()]
    assert path == tmp_path / "shelf" / stored.id[:2] / f"{stored.id}.html"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_file_that_was_changed_or_replaced_by_a_link_is_not_handed_out(
    shelf: FolderShelf, tmp_path: Path
) -> None:
    stored = await shelf.put(entry(), HTML)
    path = tmp_path / "shelf" / stored.id[:2] / f"{stored.id}.html"
    (tmp_path / "same.html").write_bytes(HTML.body)

    path.unlink()
    path.symlink_to(tmp_path / "same.html")
    assert await shelf.read(stored) is None
    path.unlink()
    path.write_bytes(b"changed")
    assert await shelf.read(stored) is None


# -- links and downloads -----------------------------------------------------------------------------------------------


def parts(link: str) -> tuple[str, str, str]:
    """A link's id, expiry and signature."""
    url = urlsplit(link)
    query = parse_qs(url.query)
    return url.path.rpartition("/")[2], query["expires"][0], query["signature"][0]


async def linked(shelf: FolderShelf, body: Rendered = HTML) -> tuple[Stored, tuple[str, str, str]]:
    stored = await shelf.put(entry(), body)
    link = shelf.link(stored)
    assert link is not None
    return stored, parts(link)


async def test_a_link_opens_its_document(shelf: FolderShelf) -> None:
    stored, link = await linked(shelf)

    answer = await Downloads(shelf).download(*link)

    assert (answer.status, answer.body) == (200, b"<p>Hello")
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == f'inline; filename="{stored.filename}"'
    assert "no-store" in answer.headers["cache-control"]


async def test_a_spreadsheet_is_saved_and_not_shown(shelf: FolderShelf) -> None:
    _, link = await linked(shelf, Rendered("csv", "text/csv", b"a"))

    assert (await Downloads(shelf).download(*link)).headers["content-disposition"].startswith("attachment;")


async def test_a_link_that_was_tampered_with_opens_nothing(shelf: FolderShelf) -> None:
    other = await shelf.put(entry("run-2"), HTML)
    _, (id, expires, signature) = await linked(shelf)
    forged = [
        (other.id, expires, signature),
        (id, str(int(expires) + 1), signature),
        (id, expires, signature[:-1]),
        (id, expires, signature + "A"),
        (id, expires, ""),
        (id, expires, "é"),
        (id, "", signature),
        (id, f" {expires}", signature),
        (id, f"+{expires}", signature),
        (id.upper(), expires, signature),
        (f"{id}/..", expires, signature),
        ("../../etc/passwd", expires, signature),
        (id, expires, Links(["x" * 32], "https://example.org").make(id, NOW).rpartition("=")[2]),
    ]

    assert {(await Downloads(shelf).download(*one)).status for one in forged} == {403}


async def test_a_link_is_over_after_its_time_and_when_its_document_is(shelf: FolderShelf) -> None:
    stored, link = await linked(shelf)
    assert int(link[1]) == NOW // 1000 + 168 * 3_600
    shelf.clock = lambda: NOW + 168 * 3_600_000 + 1_000

    assert (await Downloads(shelf).download(*link)).status == 410
    assert stored.expires_at > shelf.clock()
    shelf.clock = lambda: stored.expires_at - 1_000
    late = shelf.link(stored)
    assert late is not None
    assert int(parts(late)[1]) == stored.expires_at // 1000
    shelf.clock = lambda: stored.expires_at
    assert (await Downloads(shelf).download(*parts(late))).status == 410


async def test_a_document_whose_file_is_gone_is_over(shelf: FolderShelf, tmp_path: Path) -> None:
    stored, link = await linked(shelf)
    (tmp_path / "shelf" / stored.id[:2] / f"{stored.id}.html").unlink()

    assert (await Downloads(shelf).download(*link)).status == 410


async def test_a_secret_can_be_changed_while_links_are_about(shelf: FolderShelf) -> None:
    _, link = await linked(shelf)

    shelf.links = Links(["n" * 32, SECRET], "https://example.org")
    assert (await Downloads(shelf).download(*link)).status == 200
    shelf.links = Links(["n" * 32], "https://example.org")
    assert (await Downloads(shelf).download(*link)).status == 403
    shelf.links = None
    assert (await Downloads(shelf).download(*link)).status == 403


def test_a_secret_does_not_show() -> None:
    assert SECRET not in repr(Links([SECRET], "https://example.org"))


async def test_as_an_asgi_application_it_answers_get_and_head(shelf: FolderShelf) -> None:
    from httpx import ASGITransport, AsyncClient

    stored, (id, expires, signature) = await linked(shelf)
    query = {"expires": expires, "signature": signature}
    async with AsyncClient(transport=ASGITransport(app=Downloads(shelf)), base_url="http://test") as client:
        got = await client.get(f"/reports/{id}", params=query)
        head = await client.head(f"/reports/{id}", params=query)
        posted = await client.post(f"/reports/{id}", params=query)
        bare = await client.get("/reports/")
        many = await client.get(f"/reports/{id}?" + "&".join(f"a{number}=1" for number in range(100)))

    assert (got.status_code, got.content, got.headers["content-type"]) == (200, HTML.body, HTML.content_type)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(stored.bytes))
    assert [answer.status_code for answer in (posted, bare, many)] == [405, 403, 403]
