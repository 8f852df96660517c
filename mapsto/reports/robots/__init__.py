"""What a robot's policy did in one task, before and after each update, and why."""
