"""PostgreSQL, Valkey and SeaweedFS as processes of this machine, from Python wheels, with data in one folder.

The same servers as in a deployment, so nothing in the house has a second, embedded way of working:
`servers.py` starts and stops the three, `stack.py` adds the API and a worker, `__main__.py` is the
command line.
"""
