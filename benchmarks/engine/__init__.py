"""Today's engine against an earlier one."""
