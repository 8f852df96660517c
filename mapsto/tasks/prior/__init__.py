"""What the tables of `tasks.Tables` are made of: inputs, rules that an outcome follows, and the outcome's noise."""
