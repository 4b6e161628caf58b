"""Retry: the rules, the policy and the fallbacks after a failed attempt.

Whether and how a clip is tried again belongs here. Repeated downloads and puts do not: they cost
nothing and stand where they are made.
"""
