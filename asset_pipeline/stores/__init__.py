"""Stores: where clips are kept, in a folder, S3 or Google Cloud Storage.

What moves bytes to and from a place belongs here. Which clips are kept does not (``custody``).
"""
