"""The demo: `python -m examples.teamspark.demo` runs the platform on a file and shows what happens."""
