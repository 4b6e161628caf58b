"""Prompt files: read, imported, validated and resolved into prompts.

What is to be made belongs here. What was made does not (``ledger``).
"""
