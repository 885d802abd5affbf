"""The demo: `python -m examples.teamspark.demo`, or `python -m teamspark.demo` in a copy, runs the platform on a file and shows what happens."""
