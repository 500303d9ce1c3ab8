"""What HTTP asks of every answer: bodies, conditional answers, negotiation, headers, and the log of
requests.
"""
