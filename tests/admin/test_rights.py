"""Who may do what: the table of roles, queues, and the hiding of what they search by."""

import pytest

from corral.admin.hiding import kept, kept_text, shown_query
from corral.admin.problems import CODES, code_of
from corral.admin.rights import READING, ROLES, Permission, Principal, check_globs, check_role, may
from corral.errors import (
    ConfigError,
    CorralError,
    JobNotFoundError,
    JobStateError,
    QueueNotFoundError,
    RecordNotFoundError,
    StorageError,
    StorageUnavailableError,
    UnknownOptionError,
)

READS = {"queue:read", "job:read", "schedule:read", "worker:read", "metrics:read", "events:read"}
OPERATES = {
    "job:add", "job:retry", "job:promote", "job:cancel", "job:edit", "schedule:run", "queue:pause", "operation:abort",
    "mark:write",
}  # fmt: skip


def test_the_table_of_roles() -> None:
    assert ROLES["viewer"] == READS
    assert ROLES["operator"] == READS | OPERATES
    assert ROLES["admin"] == {str(one) for one in Permission}
    assert ROLES["producer"] == {"job:add", "job:read"}
    assert ROLES["scraper"] == {"metrics:read"}
    assert ROLES["admin"] - ROLES["operator"] - {"payload:read"} == {
        "job:remove", "queue:drain", "queue:clean", "queue:obliterate", "queue:settings", "schedule:write",
        "worker:control", "audit:read", "token:write", "system:read",
    }  # fmt: skip
    assert READING & {Permission.JOB_ADD, Permission.JOB_RETRY, Permission.TOKEN_WRITE} == set()


def test_several_roles_add_up_and_an_unknown_one_allows_nothing() -> None:
    both = Principal(sub="ana", roles=("producer", "viewer", "king"))
    assert both.permissions == ROLES["viewer"] | {Permission.JOB_ADD}
    assert both.role == "viewer"
    nobody = Principal(sub="eve", roles=("king",))
    assert (nobody.permissions, nobody.role) == (frozenset(), "")


def test_a_right_holds_in_the_queues_that_fit() -> None:
    ana = Principal(sub="ana", roles=("operator",), queues=("mail*", "sync"))
    assert may(ana, Permission.QUEUE_PAUSE, "mail-eu")
    assert may(ana, Permission.QUEUE_PAUSE)
    assert not may(ana, Permission.QUEUE_PAUSE, "sync-2")
    assert not may(ana, Permission.QUEUE_PAUSE, "Mail")
    assert not may(ana, Permission.JOB_REMOVE, "mail")


def test_a_producer_sees_its_own_jobs() -> None:
    shop = Principal(sub="shop", roles=("producer",))
    assert shop.own_only
    assert shop.owns(("owner:shop", "urgent"))
    assert not shop.owns(("owner:shop2",))
    assert Principal(sub="ana", roles=("producer", "viewer")).owns(())
    assert Principal(sub="t1", roles=("producer",), owner="shop").owner_tag == "owner:shop"
    assert len(Principal(sub="x" * 200, roles=("producer",)).owner_tag) <= 100


@pytest.mark.parametrize(("word", "role"), [("viewer", "viewer"), ("ADMIN", "admin"), (" Operator ", "operator")])
def test_roles_are_read_in_any_case(word: str, role: str) -> None:
    assert check_role(word) == role


@pytest.mark.parametrize("word", ["", "admn", None, 7])
def test_an_unknown_role_is_an_error(word: object) -> None:
    with pytest.raises(ConfigError, match="role must be one of viewer, operator, admin"):
        check_role(word)


@pytest.mark.parametrize("queues", [[], "mail", [""], [7], ["x"] * 101])
def test_patterns_of_queues_are_checked(queues: list[str]) -> None:
    with pytest.raises(ConfigError, match="queues"):
        check_globs(queues)


def test_every_error_has_a_problem() -> None:
    assert code_of(JobNotFoundError("mail", "a")) == "job-not-found"
    assert code_of(QueueNotFoundError("mail", [])) == "queue-not-found"
    assert code_of(RecordNotFoundError("operation", "op_1")) == "operation-not-found"
    assert code_of(UnknownOptionError("x", [])) == "invalid-parameter"
    assert code_of(StorageUnavailableError("no")) == "engine-unavailable"
    assert code_of(StorageError("no")) == "engine-error"
    assert code_of(CorralError("no")) == "internal"
    assert code_of(JobStateError("mail", "a", state="failed", wanted="something")) == "job-state"
    assert all(code == code.lower() for code in CODES.values())


# -- what may be told --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("state:failed error:~timeout", "state:failed error:~timeout"),
        ('state:failed data.user.api_key:"x y" queue:mail', "state:failed data.user.api_key:•••• queue:mail"),
        ("-data.password:x,y", "-data.password:••••"),
        ("data.pin:>=5", "data.pin:••••"),
        ("data.secret_plan:x data.n:1", "data.secret_plan:•••• data.n:1"),
        ("data.hidden.all:x", "data.hidden.all:••••"),
        ('data.password:"x', "••••"),
    ],
)
def test_a_search_is_told_without_what_it_says_about_hidden_fields(query: str, told: str) -> None:
    assert shown_query(query, ("hidden.all",)) == told


def test_values_are_kept_without_secrets_and_only_as_long_as_they_are_short() -> None:
    assert kept({"password": "x", "n": {"token": "y", "m": 1}}) == {"password": "••••", "n": {"token": "••••", "m": 1}}
    assert kept({}) is None
    assert kept({"text": "x" * 100_000}) is None
    assert kept_text('{"a":1,"pwd":"x"}', ("a",)) == {"a": "••••", "pwd": "••••"}
    assert kept_text("[" + "1," * 10_000 + "1]") == {"omitted": "20,003 bytes"}
