"""Streams of events (`text/event-stream`): how jobs, atlases, trainings and scans go on, told as they do.

- `opening`: what a view does with a request for a stream: access, what has happened since the last event.
- `subjects`: what can be watched, and what is told of each. From rows: the broker knows nothing that lasts.
- `hub`: one look a second at all that is watched by a process, whoever many streams watch it.
- `stream`: one open stream, with a bounded buffer; `places` limits how many there are.

The streams themselves are sent by the server around the application (`api.edge.streaming`). Without it an
answer ends with what has happened so far, and clients come again as for a stream that broke off.
"""
