"""The processes of a worker: Celery's parent, the child that computes, how they start, stop and show that
they live.
"""
