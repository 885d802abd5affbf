"""Small complete programs. Tests run each of them, and what it prints must be its lines that begin with `# ->`."""
