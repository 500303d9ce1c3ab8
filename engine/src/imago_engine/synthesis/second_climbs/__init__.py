"""Units that a climb did not meet or lost: better points, and a second climb from elsewhere."""
