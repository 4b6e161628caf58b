"""The gate for what others send."""
