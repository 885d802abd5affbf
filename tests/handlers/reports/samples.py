"""Documents, facts and files that the tests share."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from corral.handlers.kit.mail import Mail
from corral.handlers.reports import (
    Chart,
    Column,
    Document,
    Figure,
    InputFile,
    Member,
    Period,
    ProjectReport,
    ReportPayload,
    Request,
    Series,
    Table,
    TeamDay,
    TeamFacts,
)

#: Thursday, 9 October 2025, 10:00 UTC.
NOW = 1_760_004_000_000
DAY = 86_400_000
WEEK = Period(date(2025, 9, 29), date(2025, 10, 5))
ARABIC = "محمد بن سلمان"
LONG = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenhaftschaferswessenschafe"


def now() -> int:
    """A clock that stands still."""
    return NOW


def document(rows: int = 3) -> Document:
    """A report with something of everything."""
    return Document(
        title="Weekly team report",
        subject="Rowing & Co <b>",
        period="29 Sep – 5 Oct 2025",
        summary=("Mood is steady.\nMost appreciated: Åsa.", "$x$ #let *bold* [link] `code` <script>alert(1)</script>"),
        figures=(
            Figure(label="Check-ins", value=84, before=75, better="up"),
            Figure(label="Goals reached", value=87.5, kind="percent", before=90.0, better="up"),
            Figure(label="Revenue", value=1234.5, kind="money", unit="EUR"),
        ),
        charts=(
            Chart(title="Mood", labels=("Mon", "Tue", "Wed"), series=(Series(name="Mood", values=(4.0, None, 3.5)),)),
            Chart(
                title="Kudos",
                labels=("Åsa", ARABIC, "$Bob$ <i>"),
                series=(Series(name="Kudos", values=(9.0, 4.0, 1.0)),),
                kind="rank",
            ),
        ),
        tables=(
            Table(
                title="People",
                columns=(
                    Column("Name", wide=True),
                    Column("Check-ins", "number"),
                    Column("Reached", "percent"),
                    Column("State", "status"),
                    Column("Seen", "time"),
                    Column("File", "code"),
                ),
                rows=tuple(
                    (name, number, 50.0, "failed", datetime(2025, 10, 1, 12, 3, tzinfo=UTC), "src/a.py")
                    for number, name in enumerate((ARABIC, LONG, '=HYPERLINK("http://x")', *map(str, range(rows - 3))))
                ),
            ),
            Table(title="Nothing", columns=(Column("A"),), rows=()),
        ),
        notes=("Times are in UTC.",),
    )


async def team(organization_id: str, period: Period) -> TeamFacts | None:
    """What a team did: one check-in and one kudos each day, and twice that in later periods."""
    if organization_id != "org-123":
        return None
    often = 2 if period.first >= WEEK.first else 1
    return TeamFacts(
        name="Rowing",
        people=4,
        days=tuple(
            TeamDay(day=day, checkins=often, kudos=often, mood=4.0, goals_planned=2, goals_done=1)
            for day in period.dates()
        ),
        members=(
            Member(name="Åsa", checkins=7 * often, kudos_given=3, mood=4.0, goals_planned=14, goals_done=7),
            Member(name=ARABIC, kudos_received=7 * often),
        ),
    )


def request(
    period: Period = WEEK, *, about: str = "shop", payload: ReportPayload | None = None
) -> Request[ReportPayload]:
    """What a source is asked."""
    return Request(
        report_id="r-1",
        kind="test-coverage",
        about=about,
        period=period,
        previous=period.before(),
        payload=payload or ProjectReport(project_id=about),
        now=datetime.fromtimestamp(NOW / 1000, UTC),
    )


class GivenFiles:
    """Files that are handed over; each with how many days before the end of the week it was written."""

    def __init__(self, *files: tuple[str, bytes | str, float]) -> None:
        self.given = files

    async def files(self, request: Request[ReportPayload]) -> Sequence[InputFile]:
        """All of them."""
        return [
            InputFile(
                name=name,
                content=content.encode() if isinstance(content, str) else content,
                at=int(request.period.end_ms - days * DAY),
            )
            for name, content, days in self.given
        ]


class Postbox:
    """Takes mails in; the second one with an id is the first one."""

    def __init__(self) -> None:
        self.mails: dict[str, Mail] = {}
        self.calls = 0

    async def __call__(self, id: str, mail: Mail) -> object:
        self.calls += 1
        self.mails.setdefault(id, mail)
        return None

    @property
    def sent(self) -> list[Mail]:
        return list(self.mails.values())


def days_from(first: date, count: int) -> list[date]:
    """Some days in a row."""
    return [first + timedelta(number) for number in range(count)]
