"""Live: what changes, told to whoever looks, at the cost of one viewer."""
