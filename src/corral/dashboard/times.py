"""How somebody wants moments told: how far away or as date and time, and in which time zone."""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

#: `relative` is how long ago, `iso` the date and the time of day.
FORMS = ("relative", "iso")
#: The reader's own zone: only their browser knows it, and a script tells it.
LOCAL = "local"
FORM_COOKIE, ZONE_COOKIE, HERE_COOKIE = "corral-times", "corral-tz", "corral-here"


class Times(Struct, frozen=True):
    """A choice of how moments are shown."""

    form: str = FORMS[0]
    zone: tzinfo = UTC
    chosen: str = "UTC"  #: the zone's name, or `local`

    @property
    def name(self) -> str:
        """The zone's name; it is UTC where `local` was chosen and no browser has said what that is."""
        return str(getattr(self.zone, "key", "UTC"))

    def inside(self, at: datetime) -> datetime:
        """A moment on this zone's clocks."""
        return at.astimezone(self.zone)

    def written(self, at: datetime) -> str:
        """Date and time of day."""
        return f"{self.inside(at):%Y-%m-%d %H:%M:%S}"

    def whole(self, at: datetime) -> str:
        """The same with what the clocks there are called."""
        return f"{self.written(at)} {self.called(at)}"

    def called(self, at: datetime) -> str:
        """What that zone's clocks are called at this moment: `CET`, `UTC`."""
        return self.inside(at).tzname() or self.name

    def of_day(self, at: datetime) -> str:
        """The time of day: `13:04:05 CET`."""
        return f"{self.inside(at):%H:%M:%S} {self.called(at)}"

    def begin(self, text: str) -> datetime | None:
        """What somebody typed, `2026-11-23T09:00`, on this zone's clocks; None when it is no moment."""
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None
        return at if at.tzinfo is not None else at.replace(tzinfo=self.zone)


DEFAULT = Times()


def zone_of(name: str) -> tzinfo | None:
    """A zone of this name; None when there is none."""
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a name that is no file's, or a directory's
        return None


def chosen(cookies: Mapping[str, str]) -> Times:
    """What somebody's cookies say; what cannot be meant counts as nothing."""
    form, name = cookies.get(FORM_COOKIE, FORMS[0]), cookies.get(ZONE_COOKIE, DEFAULT.chosen)
    zone = zone_of(cookies.get(HERE_COOKIE, "") if name == LOCAL else name)
    if zone is None and name != LOCAL:
        name = DEFAULT.chosen
    return Times(form if form in FORMS else FORMS[0], zone or UTC, name)
