"""Follow what goes on by the server's events, and by asking again and again where there are none.

`parsing` reads a stream of server-sent events; `following` keeps it open through restarts, or does without;
`waiting` ends whatever waits when its time is over.
"""
