"""`python -m corral.cli`: the command line without the installed script; the supervisor starts its workers this way."""

from corral.cli.main import main

main()
