"""`examine`: every check on one store. The command line, the HTTP API and the dashboard show what it answers."""

from collections.abc import Iterator, Sequence

from corral.app.app import Corral
from corral.checks.facts import gather
from corral.checks.objects import CHECKS, CODES, Check, Facts, Verdict
from corral.checks.rules import judge
from corral.errors import ConfigError, closest
from corral.storage.connect import safe_url
from corral.storage.flaw import Defect
from corral.storage.port import Storage

_SAYS = {
    Defect.ORPHAN: "{queue}: {count:,} ids in {where} have no job data: its counts are too high",
    Defect.COUNT: "{queue}: its counters disagree with its jobs ({where})",
    Defect.LOCK: "{queue}: {count:,} locks of jobs that nobody runs ({ids})",
    Defect.DAMAGE: "the file is damaged: {text}",
    Defect.LOG: "{queue}: {count:,} events are kept, far more than anybody reads",
    Defect.STRANGER: "{queue}: {text} works on it, which is newer than what corral knows",
}
_NAMES = {Defect.DAMAGE: "layout", Defect.STRANGER: "layout", Defect.LOG: "events"}
#: What a person has to decide; the others are mended by --fix.
_FIXES = {
    Defect.DAMAGE: "restore a backup, or copy what can be read: corral move",
    Defect.STRANGER: "use a newer corral, or an older BullMQ, and look into its release notes first",
}
_FINE = {
    Defect.ORPHAN: "every id has its job",
    Defect.COUNT: "every counter is right",
    Defect.LOCK: "every lock belongs to a running job",
}


async def examine(
    storage: Storage, url: str | None, *, app: Corral | None = None, only: Sequence[str] = (),
    more: Sequence[Check] = (),
) -> list[Check]:  # fmt: skip
    """Every check, or these (by number or name), the store's own first.

    Args:
        url: where the store is; without it the server or file itself is not looked at.
        app: whose handlers the workers should have.
        more: checks that the caller has made: of the API's keys.

    Raises:
        ConfigError: a check that does not exist.
    """
    wanted = chosen(only)
    facts = await gather(storage, url, app)
    checks = [*_store(url), *_vitals(facts), *_flaws(facts, known=url is not None), *judge(facts), *more]
    checks.sort(key=lambda one: one.code)
    return [one for one in checks if not wanted or one.name in wanted]


def chosen(only: Sequence[str]) -> frozenset[str]:
    """The names of the checks that these words mean. Raises: ConfigError."""
    names = set()
    for word in only:
        name = CHECKS.get(word.upper(), word.lower())
        if name not in CODES:
            near = closest(word, [*CHECKS, *CODES])
            hint = f"; did you mean {near!r}?" if near else f"; there are {', '.join(CODES)}"
            raise ConfigError(f"there is no check {word!r}{hint}", key="only")
        names.add(name)
    return frozenset(names)


def _store(url: str | None) -> Iterator[Check]:
    where = "the store" if url is None else safe_url(url)
    yield Check(name="store", verdict=Verdict.OK, message=f"{where} answers")


def unreachable(url: str, message: str, *, missing: bool = False) -> Check:
    """The check that fails when the store cannot be opened at all."""
    fix = (
        "start a worker or add a job to make it, or name another store with CORRAL_URL or --url"
        if missing
        else "check the URL, the server or the file and its disk; CORRAL_URL or --url names another store"
    )
    text = message if missing else f"{safe_url(url)}: {message}"
    return Check(name="store", verdict=Verdict.FAILED, message=text, fix=fix)


def _vitals(facts: Facts) -> Iterator[Check]:
    """What the store says about itself."""
    for one in facts.vitals:
        verdict = Verdict.FAILED if one.grave else Verdict.WARNING if one.fix else Verdict.OK
        yield Check(name=one.name, verdict=verdict, message=one.text, fix=one.fix)


def name_of(defect: Defect) -> str:
    """The check that a defect belongs to."""
    return _NAMES.get(defect, str(defect))


def _flaws(facts: Facts, *, known: bool) -> Iterator[Check]:
    seen = set()
    for one in facts.flaws:
        seen.add(one.defect)
        text = _SAYS[one.defect].format(
            queue=one.queue, count=one.count, text=one.text, ids=", ".join(one.ids),
            where=", ".join(f"{state} {count:+,}" if one.defect is Defect.COUNT else state
                            for state, count in one.where.items()),
        )  # fmt: skip
        name = name_of(one.defect)
        yield Check(
            name=name,
            verdict=Verdict.FAILED if one.defect is Defect.DAMAGE else Verdict.WARNING,
            message=text,
            queue=one.queue,
            fix=_FIXES.get(one.defect, f"corral doctor --fix --only {CODES[name]}"),
            fixable=one.defect not in _FIXES,
        )
    for defect, text in _FINE.items():
        if known and defect not in seen:
            yield Check(name=str(defect), verdict=Verdict.OK, message=text)
