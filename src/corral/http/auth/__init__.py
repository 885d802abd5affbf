"""Who asks: every way to be recognised, and what keeps others from pretending."""
