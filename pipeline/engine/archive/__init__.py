"""One experiment of a store in one file: written, checked, and added to another store."""
