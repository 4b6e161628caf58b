"""Validation of what other systems send: text, numbers, documents and addresses.

Checks of single values belong here. What a reply means belongs in ``providers``.
"""
