"""The software-defined assets.

An asset chooses its partitions, calls a room below and reports. Anything else belongs there.
"""
