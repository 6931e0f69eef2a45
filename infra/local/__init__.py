"""The embedded target: the solved budget as processes on this machine, without a container runtime."""
