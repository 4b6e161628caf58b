"""How an installation is, for who watches it: metrics, and checks of each part.

Commands and routes that show these are elsewhere; what is counted is counted where it happens.
"""
