"""The SQLite adapter: one file, several processes, every acknowledged write on the disk."""
