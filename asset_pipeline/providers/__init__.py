"""Who makes clips: the provider protocol and Replicate behind it."""
