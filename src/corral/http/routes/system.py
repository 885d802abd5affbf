"""The server, its store, and what keeps jobs from running."""

import os
import platform
import socket
from typing import Annotated

from fastapi import Query
from pydantic import SecretStr
from starlette.responses import Response

from corral._version import __version__
from corral.admin.rights import Permission
from corral.checks.doctor import examine
from corral.checks.mend import mend
from corral.errors import CorralError
from corral.http.auth.strength import judge_keys
from corral.http.bodies import refusing
from corral.http.deps import Rate, allow, need, problem
from corral.http.idempotency import once
from corral.http.models.base import moment
from corral.http.models.documented import shown
from corral.http.models.operations import OperationInfo, operation_of
from corral.http.models.system import (
    CheckInfo,
    Checks,
    EngineInfo,
    FixBody,
    IndexBody,
    IndexInfo,
    MendedInfo,
    MendedList,
    QueueSize,
    SettingsInfo,
    StorageInfo,
    SystemInfo,
    VitalInfo,
)
from corral.http.rendering import answer
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.settings import ApiSettings
from corral.monitor.index import Coverage, coverages
from corral.sensitive import HIDDEN
from corral.storage.checkup import checkup
from corral.storage.vital import Vital
from corral.timing import now_ms

router = Router(tags=["System"])

STARTED_MS = now_ms()


def _whole(call: Caller) -> None:
    """Raises: Problem: 403, the caller sees only some queues, and this is about all of them."""
    if not call.sees_all:
        problem("forbidden", "This is about all queues, and some are not yours.",
                permission=str(Permission.SYSTEM_READ))  # fmt: skip


@router.get(
    "/system", operation_id="get_system", response_model=shown(SystemInfo), responses=told("forbidden"),
    dependencies=[allow(Permission.SYSTEM_READ, queue=None)],
)  # fmt: skip
async def get_system(call: Called) -> Response:
    """This server and its store."""
    _whole(call)
    overview = await call.api.monitor.overview()
    engine = await call.api.storage.engine()
    totals = overview.totals
    app = call.api.app
    return answer(
        SystemInfo(
            version=__version__, python=platform.python_version(),
            engine=EngineInfo(
                kind=engine.kind, version=engine.version, memory_bytes=engine.memory_bytes,
                memory_limit_bytes=engine.memory_limit_bytes, evicted_keys=engine.evicted_keys,
                db_bytes=engine.db_bytes, wal_bytes=engine.wal_bytes,
            ),
            store=call.api.url, host=socket.gethostname(), pid=os.getpid(), started_at=moment(STARTED_MS),
            queues=len(overview.queues),
            jobs=totals.waiting + totals.active + totals.delayed + totals.waiting_children + totals.completed
            + totals.failed,
            workers=overview.workers, application=None if app is None else app.name,
        )
    )  # fmt: skip


@router.get(
    "/system/doctor", operation_id="get_doctor", response_model=shown(Checks), responses=told("forbidden"),
    dependencies=[allow(Permission.SYSTEM_READ, queue=None, slow=True)],
)  # fmt: skip
async def get_doctor(
    call: Called,
    only: Annotated[str, Query(max_length=500, description="These checks, by number or name: `D11,locks`.")] = "",
) -> Response:
    """What keeps jobs from running."""
    _whole(call)
    wanted = [one.strip() for one in only.split(",") if one.strip()]
    found = await examine(
        call.api.storage, address_of(call), app=call.api.app, only=wanted, more=judge_keys(call.api.settings)
    )
    items = [
        CheckInfo(
            code=one.code, check=one.name, verdict=str(one.verdict), message=one.message, fix=one.fix or None,
            queue=one.queue or None, fixable=one.fixable,
        )
        for one in found
    ]  # fmt: skip
    return answer(
        Checks(
            items=items, failed=sum(one.verdict == "failed" for one in items),
            warnings=sum(one.verdict == "warning" for one in items),
        )
    )  # fmt: skip


@router.post(
    "/system/doctor/fix", operation_id="fix_by_doctor", response_model=shown(MendedList),
    responses=told("forbidden", "validation-failed"),
    dependencies=[allow(Permission.QUEUE_SETTINGS, queue=None, rate=Rate.BULK)],
)  # fmt: skip
async def fix_by_doctor(call: Called, body: FixBody | None = None) -> Response:
    """Put right what is safe to put right."""
    _whole(call)
    said = body or FixBody()
    with refusing(check="/only"):
        done = await mend(call.api.storage, address_of(call), await call.desk(said.reason), only=said.only)
    call.api.monitor.forget()
    return answer(
        MendedList(items=[MendedInfo(check=one.name, message=one.message, queue=one.queue or None) for one in done])
    )


@router.post(
    "/system/index/rebuild", operation_id="rebuild_index", response_model=shown(OperationInfo), status_code=202,
    responses=told("forbidden", "queue-not-found", "idempotency-mismatch", "idempotency-in-flight"),
    dependencies=[allow(Permission.QUEUE_SETTINGS, queue=None, rate=Rate.BULK)],
)  # fmt: skip
async def rebuild_index(call: Called, body: IndexBody | None = None) -> Response:
    """Make the index of tags and traces anew."""
    said = body or IndexBody()
    if said.queue is None:
        _whole(call)
    else:
        await need(call.request, Permission.QUEUE_SETTINGS, said.queue)

    async def work() -> Response:
        made = operation_of(await (await call.desk(said.reason)).rebuild_index(said.queue), call.base)
        return answer(made, status=202, headers={"Location": made.links["self"]})

    return await once(call.request, call.api, call.who, work)


def address_of(call: Caller) -> str | None:
    """Where the store is, with its password; None when it was given open."""
    source = call.api.source
    if isinstance(source, str):
        return source
    return None if call.api.app is None else call.api.app.url


@router.get(
    "/system/storage", operation_id="get_storage", response_model=shown(StorageInfo), responses=told("forbidden"),
    dependencies=[allow(Permission.SYSTEM_READ, queue=None, slow=True)],
)  # fmt: skip
async def get_storage(call: Called) -> Response:
    """How the store is, and what is in it."""
    _whole(call)
    monitor = call.api.monitor
    overview = await monitor.overview()
    indexes = await coverages(call.api.storage, [row.name for row in overview.queues], now=monitor.store_now())
    sizes = [
        QueueSize(
            name=row.name,
            counts={
                "waiting": row.waiting, "active": row.active, "delayed": row.delayed,
                "waiting_children": row.waiting_children, "completed": row.completed, "failed": row.failed,
            },
            jobs=row.waiting + row.active + row.delayed + row.waiting_children + row.completed + row.failed,
            index=_index(indexes.get(row.name)),
        )
        for row in overview.queues
    ]  # fmt: skip
    sizes.sort(key=lambda one: (-one.jobs, one.name))
    engine = await call.api.storage.engine()
    items = [
        VitalInfo(name=one.name, text=one.text, fix=one.fix or None, grave=one.grave) for one in await _vitals(call)
    ]
    return answer(StorageInfo(engine=engine.kind, items=items, queues=sizes))


def _index(found: Coverage | None) -> IndexInfo | None:
    return None if found is None else IndexInfo(made_at=moment(found.at), jobs=found.jobs, entries=found.entries)


async def _vitals(call: Caller) -> list[Vital]:
    """What the store says about itself; nothing where it was given open and nobody knows where it is."""
    address = address_of(call)
    if address is None:
        return []
    try:
        return await checkup(address)
    except CorralError as error:
        return [Vital("store", "it cannot be asked how it is", str(error), True)]


@router.get(
    "/config", operation_id="get_config", response_model=shown(SettingsInfo), responses=told("forbidden"),
    dependencies=[allow(Permission.SYSTEM_READ, queue=None)],
)  # fmt: skip
async def get_config(call: Called) -> Response:
    """Settings in force, secrets left out."""
    _whole(call)
    return answer(SettingsInfo(items=_settings(call.api.settings)))


#: Settings that are no secrets by their type and still nobody's business.
_PRIVATE = ("jwt_public_key",)


def _settings(settings: ApiSettings) -> dict[str, object]:
    shown: dict[str, object] = {}
    for name in ApiSettings.model_fields:
        value: object = getattr(settings, name)
        if isinstance(value, SecretStr):
            shown[name] = HIDDEN if value.get_secret_value() else ""
        elif name in _PRIVATE:
            shown[name] = HIDDEN if value else None
        elif isinstance(value, tuple):
            shown[name] = [str(one) for one in value]
        else:
            shown[name] = value
    return shown
