"""Moving a live application from one store to another."""
