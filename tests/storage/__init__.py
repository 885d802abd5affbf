"""What every storage adapter must do: one file per verb of the port, one model, one set of races."""
