"""Settings of alerts: the table `[alerts]` of `corral.toml`, what an application declares, or keywords."""

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from msgspec import Struct
from msgspec.structs import fields, replace

from corral.alert import AlertOptions
from corral.errors import ConfigError, UnknownOptionError
from corral.monitor.rules import SEVERITIES
from corral.monitor.thresholds import DEFAULTS, Thresholds
from corral.timing import Millis, duration, to_ms

FILE = Path("corral.toml")
#: Thresholds by the names they are set by: those that are times are written without their unit.
_NAMES = {one.name.removesuffix("_ms"): one.name for one in fields(Thresholds) if one.name != "queues"}
_SWITCHES = frozenset({"no_worker", "held", "evictions"})


class AlertSettings(Struct, frozen=True, kw_only=True):
    """When and to whom something is told."""

    thresholds: Thresholds = DEFAULTS
    severity: str = "warning"  #: the least that is told
    after_ms: Millis = 30_000  #: it must last so long before it is told, and be over for so long before that is told
    again_ms: Millis | None = 4 * 3_600_000  #: how often it is told again while it lasts; None: never
    every_ms: Millis = 15_000  #: how often somebody looks
    queue: str | None = None  #: where alert jobs go; None: there are none
    job: str = "alert"  #: their name

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ConfigError(f"severity must be one of {', '.join(SEVERITIES)}, not {self.severity!r}", key="severity")


def read_alerts(file: Path | None = None, *, declared: AlertOptions | None = None) -> AlertSettings | None:
    """The settings that `corral.toml` has, before those `declared` in code; None when neither says anything.

    Raises:
        ConfigError: a file that cannot be read, or a value that cannot be meant; the message names it.
        UnknownOptionError: a name that nothing has.
    """
    table = _table(file or FILE)
    if table is None and declared is None:
        return None
    return alert_settings(_over(declared or {}, table or {}))


def _table(path: Path) -> Mapping[str, object] | None:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("alerts")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {error}", key=path.name) from None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigError(f"alerts in {path.name} must be a table, not {table!r}", key="alerts")
    return table


def _over(declared: Mapping[str, object], table: Mapping[str, object]) -> dict[str, object]:
    """What a deployment says before what the code says: name by name, and so for each queue."""
    merged = {**declared, **table}
    ours, theirs = declared.get("queues"), table.get("queues")
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        queues: dict[str, object] = {**ours, **theirs}
        for name in ours.keys() & theirs.keys():
            if isinstance(ours[name], Mapping) and isinstance(theirs[name], Mapping):
                queues[name] = {**ours[name], **theirs[name]}
        merged["queues"] = queues
    return merged


def alert_settings(table: Mapping[str, object]) -> AlertSettings:
    """Settings from a table: `severity after again every queue job`, thresholds, and `queues` with tables of its own.

    Times are seconds or texts such as "90s"; false turns a rule off.

    Raises:
        ConfigError, UnknownOptionError: as `read_alerts`.
    """
    known = {"severity", "after", "again", "every", "queue", "job", "queues", *_NAMES}
    for name in table:
        if name not in known:
            raise UnknownOptionError(f"alerts.{name}", [f"alerts.{one}" for one in known])
    given: dict[str, object] = {}
    for name in ("after", "every"):
        if name in table:
            given[f"{name}_ms"] = _time(f"alerts.{name}", table[name])
    if "again" in table:
        given["again_ms"] = None if table["again"] is False else _time("alerts.again", table["again"])
    for name in ("severity", "queue", "job"):
        if name in table:
            given[name] = _text(f"alerts.{name}", table[name])
    return AlertSettings(thresholds=_thresholds(table), **given)  # type: ignore[arg-type]  # each was checked above


def _thresholds(table: Mapping[str, object]) -> Thresholds:
    common = _changed(DEFAULTS, table, "alerts")
    queues = table.get("queues", {})
    if not isinstance(queues, Mapping):
        raise ConfigError(f"alerts.queues must be a table of tables, not {queues!r}", key="alerts.queues")
    own: dict[str, Thresholds] = {}
    for pattern, inner in queues.items():
        where = f"alerts.queues.{pattern}"
        if not isinstance(inner, Mapping):
            raise ConfigError(f"{where} must be a table, not {inner!r}", key=where)
        for name in inner:
            if name not in _NAMES:
                raise UnknownOptionError(f"{where}.{name}", [f"{where}.{one}" for one in _NAMES])
        own[pattern] = _changed(common, inner, where)
    return replace(common, queues=own)


def _changed(base: Thresholds, table: Mapping[str, object], where: str) -> Thresholds:
    changes = {_NAMES[name]: _threshold(f"{where}.{name}", name, table[name]) for name in table if name in _NAMES}
    return replace(base, **changes)


def _threshold(where: str, name: str, value: object) -> object:
    if value is False:
        if name in ("failure_jobs", "growing_jobs"):
            raise ConfigError(f"{where} must be a number; to turn the rule off, set the other one to false", key=where)
        return None
    if name in _SWITCHES:
        if value is not True:
            raise ConfigError(f"{where} must be true or false, not {value!r}", key=where)
        return True
    if _NAMES[name].endswith("_ms"):
        return _time(where, value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ConfigError(f"{where} must be a number of 0 or more, or false, not {value!r}", key=where)
    if name == "failure_share" and value > 1:
        raise ConfigError(f"{where} is a share: 0.05 is 5 %, not {value!r}", key=where)
    if name != "failure_share" and not float(value).is_integer():
        raise ConfigError(f"{where} must be a whole number, not {value!r}", key=where)
    return float(value) if name == "failure_share" else int(value)


def _time(where: str, value: object) -> Millis:
    if isinstance(value, str):
        value = duration(value)
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):
        raise ConfigError(f'{where} must be seconds or a text such as "90s", not {value!r}', key=where)
    return to_ms(value, where)


def _text(where: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where} must be a text, not {value!r}", key=where)
    return value
