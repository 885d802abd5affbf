"""What every command shares: the global options, and how errors become exit codes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import click

from corral.cli.failures import INTERRUPTED, TERMINATED, Failure, Terminated, exit_code
from corral.cli.lazy import LazyGroup
from corral.errors import ConfigError, CorralError

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")
C = TypeVar("C", bound=click.Command)
OUTPUTS = ("table", "wide", "json", "ndjson", "yaml", "csv", "name")
TEMPLATE = "template="
ARGUMENTS = "corral.arguments"  #: where the root context keeps the words it was called with


@dataclass(slots=True)
class Globals:
    """The global options of one call; each may stand before or after the command's name."""

    url: str | None = None
    api: str | None = None
    token: str | None = None
    context: str | None = None
    prefix: str | None = None
    app: str | None = None
    output: str = "table"
    fields: str | None = None  #: `--json`
    jq: str | None = None
    local: bool = False
    timeout: float | None = None
    reason: str = ""
    dry_run: bool = False
    yes: bool = False
    no_color: bool = False
    quiet: bool = False
    verbose: int = 0


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    # Only what was typed: the default of an option after the command must not undo the same option before it.
    given = ctx.get_parameter_source(param.name or "") is not click.core.ParameterSource.DEFAULT
    chosen = ctx.ensure_object(Globals)
    if given and param.name:
        setattr(chosen, param.name, value)


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        from corral.cli.values import duration  # msgspec and more: only for those who say it

        _keep(ctx, param, reads(duration)(ctx, param, value))


class Output(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """One of the forms, or `template=` with names in braces."""

    name = "output"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return f"[{'|'.join(OUTPUTS)}|{TEMPLATE}…]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if text not in OUTPUTS and not text.startswith(TEMPLATE):
            self.fail(f"{text!r} is not one of {', '.join(OUTPUTS)} and {TEMPLATE}TEXT", param, ctx)
        return text

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[click.shell_completion.CompletionItem]":
        return [click.shell_completion.CompletionItem(one) for one in OUTPUTS if one.startswith(incomplete)]


def _global_options() -> list[click.Option]:
    def option(*names: str, **settings: object) -> click.Option:
        settings.setdefault("callback", _keep)
        return click.Option(names, expose_value=False, **settings)  # type: ignore[arg-type]  # click checks them

    return [
        option("--url", metavar="URL", help="The store, such as sqlite:///corral.db (CORRAL_URL)."),
        option("--api", metavar="URL", help="An HTTP API instead of a store (CORRAL_API)."),
        option("--token", metavar="TOKEN", help="Who you are to the API (CORRAL_TOKEN)."),
        option("--context", metavar="NAME", help="A saved store or API (CORRAL_CONTEXT); see corral context."),
        option("--prefix", metavar="TEXT", help="The prefix of the keys on Redis, in place of the URL's."),
        option("--app", metavar="MODULE:ATTR", help="The application, such as shop.jobs:app (CORRAL_APP)."),
        option("-o", "--output", type=Output(), default="table", help="How to print data."),
        option(
            "--json",
            "fields",
            is_flag=False,
            flag_value="",
            metavar="[FIELDS]",
            help="JSON, with these fields only where they are given: queue,id,state.",
        ),
        option("--jq", metavar="EXPRESSION", help="JSON, passed through the program jq."),
        option("--local/--utc", "local", default=False, help="Times in tables on this machine's clock, or in UTC."),
        option("--timeout", callback=_duration, metavar="DURATION", help="Give up after this long (exit 7)."),
        option("--reason", default="", metavar="TEXT", help="Why: kept in the audit log."),
        option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
        option("-y", "--yes", is_flag=True, help="Do not ask for confirmation."),
        option("--no-color", is_flag=True, help="No colours (NO_COLOR)."),
        option("-q", "--quiet", is_flag=True, help="No messages, only data."),
        option("-v", "--verbose", count=True, help="Say what is done (-vv: in detail)."),
    ]


class Command(click.Command):
    """A command that takes the global options too, listed apart in its help."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *self._shared]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own long list of arguments
        self._shared = _beside(self.params, _global_options())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_options(ctx, formatter, [one for one in self.get_params(ctx) if one not in self._shared], "Options")
        write_options(ctx, formatter, self._shared, "Options of every command")


def _beside(own: "list[click.Parameter]", shared: list[click.Option]) -> list[click.Option]:
    """The global options without the names that the command uses itself: its `-q` is a query, not `--quiet`."""
    taken = {name for one in own for name in (*one.opts, *one.secondary_opts) if name.startswith("-")}
    for one in shared:
        one.opts = [name for name in one.opts if name not in taken]
    return [one for one in shared if one.opts]


class Root(LazyGroup):
    """The command `corral` itself. Every CorralError ends here, as one line and an exit code."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: object
    ) -> click.Context:
        words = list(args)  # click empties the list while it parses
        ctx = super().make_context(info_name, args, parent, **extra)
        ctx.meta[ARGUMENTS] = words
        return ctx

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except CorralError as error:
            raise Failure(str(error), exit_code(error)) from error
        except Terminated:
            ctx.exit(TERMINATED)
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(INTERRUPTED)


def write_options(
    ctx: click.Context, formatter: click.HelpFormatter, params: "list[click.Parameter] | list[click.Option]", title: str
) -> None:
    """Write a section of the help."""
    rows = [row for one in params if not isinstance(one, click.Argument) and (row := one.get_help_record(ctx))]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


def root_options(command: C) -> C:
    """Give the root command the global options."""
    command.params = [*command.params, *_global_options()]
    return command


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Declare a command with the global options; its help is the function's docstring."""
    return click.command(name, cls=Command)


def reads(function: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """An option's callback: turns its text into a value, and a ConfigError into a usage error that names the option."""

    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> T | None:
        if value is None:
            return None
        try:
            return function(value)
        except ConfigError as error:
            raise click.BadParameter(str(error), ctx=ctx, param=param) from None

    return callback
