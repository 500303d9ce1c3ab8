"""What an atlas of a million units costs: reads, planning, memory and disk."""
