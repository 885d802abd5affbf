"""Sources: what makes a document of facts, and of the files that other tools write."""
