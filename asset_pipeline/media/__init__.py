"""Media files: decoding, verification, previews and conversion of pictures and sound.

What a file shows belongs here. What was paid for it, and where it is stored, do not.
"""
