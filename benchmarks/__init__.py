"""corral against its rival on the same machine, in the same run. `python -m benchmarks --help`."""
