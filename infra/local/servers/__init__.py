"""The servers of the embedded target, one file each; all on loopback, each on a port from the system."""
