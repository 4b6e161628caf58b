"""Renditions: files derived from stored clips.

Which files are made and recorded belongs here. How pixels and samples change does not (``media``).
"""
