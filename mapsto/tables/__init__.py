"""A person's table as numbers: reading a file, typing its columns, splitting rows, writing numbers back as cells."""
