"""Planning: what a run would do and cost, before anything is paid.

Nothing here sends, reserves or writes.
"""
