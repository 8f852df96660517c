"""A person's table as numbers."""
