"""What follows a failed attempt: rules, policy, fallbacks."""
