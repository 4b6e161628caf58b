"""Providers: the protocol, and Replicate's implementation of it.

What is said over the network belongs here. What an answer means for money does not
(``generation``).
"""
