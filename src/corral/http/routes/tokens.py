"""API tokens."""

from starlette.responses import Response

from corral.admin.objects import Token
from corral.admin.rights import ROLES, Permission, check_role
from corral.http.additions import run_at_ms
from corral.http.bodies import refusing
from corral.http.deps import allow, problem
from corral.http.models.base import Listing
from corral.http.models.documented import shown
from corral.http.models.operations import NewToken, TokenBody, TokenInfo, token_of
from corral.http.paging import Asked, Key, cut, listing
from corral.http.rendering import answer, empty
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.scope import covered

router = Router(tags=["Tokens"])


@router.get(
    "/tokens", operation_id="list_tokens", response_model=shown(Listing[TokenInfo]), responses=told("invalid-cursor"),
    dependencies=[allow(Permission.TOKEN_WRITE, queue=None)],
)  # fmt: skip
async def list_tokens(call: Called, asked: Asked) -> Response:
    """Tokens, newest first."""
    rows = await _theirs(call)

    def key(one: Token) -> Key:
        return -one.created_at, one.id

    rows.sort(key=key)
    shown = cut(rows, key, asked, "tokens")
    items = [token_of(one) for one in shown.items]
    return listing(asked, TokenInfo, items, next=shown.next, prev=shown.prev, total=len(rows))


async def _theirs(call: Caller) -> list[Token]:
    """Tokens that open nothing which is not there for the caller."""
    return [one for one in await (await call.desk()).tokens() if covered(call.globs, one.queues)]


@router.post(
    "/tokens", operation_id="create_token", response_model=shown(NewToken), status_code=201,
    responses=told("validation-failed", "forbidden"), dependencies=[allow(Permission.TOKEN_WRITE, queue=None)],
)  # fmt: skip
async def create_token(call: Called, body: TokenBody) -> Response:
    """Make a token; it is shown this once.

    One that is made by a token may not last longer than that one, and ends with it.
    """
    with refusing():
        role = check_role(body.role)
    if not ROLES[role] <= call.who.permissions or not covered(call.globs, body.queues):
        problem("forbidden", "A token cannot do more than you can yourself.", permission=str(Permission.TOKEN_WRITE))
    at = None if body.expires_at is None else run_at_ms(body.expires_at)
    with refusing():
        clear, token = await (await call.desk()).create_token(body.name, role, body.queues, at, parent=call.who.id)
    shown = token_of(token)
    made = NewToken(**{name: getattr(shown, name) for name in TokenInfo.__dataclass_fields__}, token=clear)
    headers = {"Location": f"{call.base}/tokens/{token.id}", "Cache-Control": "no-store"}
    return answer(made, status=201, headers=headers)


@router.delete(
    "/tokens/{id}", operation_id="revoke_token", status_code=204, responses=told("token-not-found"),
    dependencies=[allow(Permission.TOKEN_WRITE, queue=None)],
)  # fmt: skip
async def revoke_token(call: Called, id: str) -> Response:
    """Let it open nothing any more.

    Those that were made by it end with it.
    """
    if id not in {one.id for one in await _theirs(call)}:
        problem("token-not-found", f"There is no token {id!r}.")
    await (await call.desk()).revoke_token(id)
    return empty()
