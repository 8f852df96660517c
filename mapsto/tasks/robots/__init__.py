"""Tasks of robots: environments, and sources that play a policy in them."""
