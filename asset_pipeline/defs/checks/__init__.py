"""Asset checks: what was paid for is there, whole, as asked, and told of truly."""
