"""Reference pages, each generated from the code that it describes.

A page is Markdown. Nothing here is typed by hand that the code says itself; what the code does not
say belongs in the code, not here.
"""
