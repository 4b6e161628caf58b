"""The Dagster instance: its folder, its storage and how it is opened.

What knows private parts of Dagster's storage belongs here, and nothing about clips.
"""
