"""Between the network and the Flask application: an asynchronous server (uvicorn) that costs an idle or slow
connection some memory and no thread.

- `connection`: limits of each connection: how long a head and a body may take, how large they may be, how
  long a reader may stand still.
- `bridge`: a request that has arrived completely goes to Flask in one of a few threads; its answer is sent
  without one.
- `answers`: what was read a moment ago, or never changes, is answered from memory, without Flask.
"""
