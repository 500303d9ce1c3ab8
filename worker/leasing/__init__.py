"""Taking work and keeping its lease: the loop, renewal, giving way, and trying again while a server is
away.
"""
