"""Keeping what is stored: proving it whole, deleting by rules, sharing and publishing it."""
