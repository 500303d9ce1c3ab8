"""Networks and generators on this machine: found, checked, kept on the device."""
