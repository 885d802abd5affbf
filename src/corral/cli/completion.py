"""`corral completion`: the shell's tab key knows commands, options, and the names of queues, schedules and workers."""

import click

from corral.cli.shared import command

SHELLS = click.Choice(["bash", "zsh", "fish"])


@command("completion")
@click.argument("shell", type=SHELLS)
def completion(shell: str) -> None:
    """Print a script that completes commands, options and names. For bash: eval "$(corral completion bash)"."""
    from click.shell_completion import get_completion_class

    from corral.cli.main import corral

    kind = get_completion_class(shell)
    assert kind is not None, "click has these three"
    # Not BashComplete.source(): it starts a bash to ask for its version, which a container may not have.
    made = kind(corral, {}, "corral", "_CORRAL_COMPLETE")
    click.echo(made.source_template % made.source_vars())
