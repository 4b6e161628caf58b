"""The review desk: the page at ``/``, its files, and the routes that it alone asks.

What other programs may use too stands in the routes beside this package. What a page shows is
worked out by the modules in ``static``; here are no words for people but errors.
"""
