"""The limits of one connection, in seconds and bytes; docs/serving.md says the same to operators."""

HEAD_SECONDS = 10.0
"""From the first byte of a request, or from connecting, to the end of its headers."""
BODY_SECONDS = 30.0
"""From the end of the headers to the end of the body: a full one of 1 MiB needs 35 KB/s."""
IDLE_SECONDS = 15
"""Between two requests of a connection."""
READER_SECONDS = 20.0
"""How long a client may take nothing, or too little, of an answer that is being sent."""

TARGET_BYTES = 8 * 1024
"""Path and query of a request. Of a longer one the rest is thrown away as it comes, up to `BODY_BYTES`: what
it is to be answered with stands in its headers."""
HEAD_BYTES = 32 * 1024
"""All headers together."""
HEADERS = 100
BODY_BYTES = 1024 * 1024
"""The largest request names 64 targets; units can be given as ranges."""

CONNECTIONS = 2000
"""Of each process; whoever comes then is told to come again."""

LINGER_SECONDS = 2.0
"""After a refusal: what the client still sends is thrown away, because closing at once would reset the
connection, and the client might never read why. It ends when nothing has come for so long, and after
`BODY_SECONDS` whatever comes. A connection too many has so long to say what it wants."""
STOP_SECONDS = 10
"""After SIGTERM: how long requests that run may take to end."""

STREAMS = 1000
"""Open streams of events of each process: half of the connections stay for everyone else."""
STREAMS_OF_ONE = 64
"""Of one key, or of one address without a key: people behind one proxy share it."""
STREAM_BYTES = 256 * 1024
"""What is kept for a stream whose client does not read; one that is more behind is ended, and comes again."""
HEARTBEAT_SECONDS = 15.0
"""After so long without an event a stream sends a comment, so that proxies keep it open."""

DOWNLOADS = 100
"""Whole exports that each process sends at the same time; each has the memory of some pictures."""
DOWNLOADS_OF_ONE = 8
"""Of one key, or of one address without a key."""
DOWNLOAD_THREADS = 2
"""In which they are read from the store: of their own, so that however many there are, they take turns with
each other, and requests keep their threads."""
