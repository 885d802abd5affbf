"""Looking on from outside: health, metrics, traces and logs of workers and of the HTTP API."""
