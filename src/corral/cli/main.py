"""The `corral` command: which sub-commands there are. Imports click and the error tree, nothing heavier."""

import sys

import click

from corral._version import __version__
from corral.cli.shared import Root, root_options

COMMANDS = {
    "worker": ("corral.cli.worker:worker", "Run an application's jobs until stopped."),
    "dev": (
        "corral.cli.dev:dev",
        "For development: a worker that reloads, with the dashboard beside.",
    ),
    "dashboard": ("corral.cli.dashboard:dashboard", "Serve the dashboard, with the HTTP API beside it."),
    "api": ("corral.cli.api:api", "Serve the HTTP API."),
    "add": ("corral.cli.add:add", "Add a job, or one per line of a file."),
    "jobs": ("corral.cli.jobs:jobs", "Look at jobs; retry, rerun, edit, cancel, remove, clean and export them."),
    "queues": ("corral.cli.queues:queues", "Look at queues; pause, resume, limit, drain, clean and obliterate them."),
    "schedules": ("corral.cli.schedules:schedules", "Look at schedules; make, change, run, pause and repair them."),
    "workers": ("corral.cli.workers:workers", "Look at the workers, and tell them what to do."),
    "flows": ("corral.cli.flows:flows", "Jobs that wait for jobs: look, add, retry."),
    "failures": ("corral.cli.failing:failures", "Kinds of failures: look, retry all of one kind, mute it."),
    "attention": ("corral.cli.attention:attention", "What wants attention: look, mute, unmute."),
    "events": ("corral.cli.happening:events", "What happens, as it happens."),
    "stats": ("corral.cli.stats:stats", "Counts, rates, waiting and running times of every queue."),
    "top": ("corral.cli.top:top", "Everything on one screen, drawn again and again."),
    "doctor": ("corral.cli.doctor:doctor", "Find out why jobs do not run, and what to do about it."),
    "healthcheck": ("corral.cli.healthcheck:healthcheck", "Ask a worker or an API whether it is well: for probes."),
    "operations": ("corral.cli.records:operations", "Long operations: look, wait, abort."),
    "audit": ("corral.cli.records:audit", "Who did what, when and why."),
    "mark": ("corral.cli.records:mark", "Marks on the charts: deployments, incidents."),
    "token": ("corral.cli.tokens:token", "Tokens for the HTTP API: make, list, revoke."),
    "openapi": ("corral.cli.openapi:openapi", "The description of the HTTP API."),
    "context": ("corral.cli.context:context", "Stores and APIs with a name."),
    "config": ("corral.cli.config:config", "Every setting, and where its value comes from."),
    "outbox": ("corral.cli.outbox:outbox", "Rows of an outbox that were set aside: look, carry after all, delete."),
    "mail": ("corral.cli.mail:mail", "The mails that an application sends: look at them without sending any."),
    "move": ("corral.cli.move:move_command", "Carry an application from one store to another."),
    "bench": ("corral.cli.bench:bench", "Measure how fast this store is, with jobs that do nothing."),
    "completion": ("corral.cli.completion:completion", "A script for the shell's tab key."),
    "version": ("corral.cli.version:version", "Print the versions of corral and what it stands on."),
    "jobs:clean": ("corral.cli.clean:clean", ""),  # the guides' own spelling of `jobs clean`; not listed
}


@root_options
@click.group(cls=Root, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="corral %(version)s")
def corral() -> None:
    """Background jobs: run them, add them, look after them.

    Options of every command may stand before or after its name. Data goes to standard output, messages to standard
    error.
    """


def main() -> None:
    """The entry point of the installed script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # An emoji must not end a command on a terminal that cannot show it.
            stream.reconfigure(errors="backslashreplace")
    corral(prog_name="corral")
