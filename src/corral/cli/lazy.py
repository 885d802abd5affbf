"""A click group that imports a command when it is called, not when the help lists it."""

import importlib
from collections.abc import Mapping

import click

from corral.errors import closest


class LazyGroup(click.Group):
    """A group whose commands are named as `"package.module:attribute"`, with the line that the help shows for each."""

    def __init__(self, *args: object, lazy: Mapping[str, tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own long list of arguments
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        # In the order written down, which is the order in which people need them.
        return [name for name, (_, summary) in self._lazy.items() if summary]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._lazy.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry[0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # click's own wording names no other command; a slip of the finger deserves one.
        name = args[0]
        if name not in self._lazy and not name.startswith("-"):
            near = closest(name, self.list_commands(ctx))
            hint = f"; did you mean {near!r}?" if near else f"; `{ctx.command_path} --help` lists them"
            ctx.fail(f"no such command {name!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # click would import every command to ask for its help: `corral --help` took four times as long that way.
        rows = [(name, self._lazy[name][1]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
