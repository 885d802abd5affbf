"""What the jobs do: a module for each queue."""
