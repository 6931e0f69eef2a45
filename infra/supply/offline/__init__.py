"""Who needs it: a kind cluster on a machine without a container registry (OFFLINE=1). Nobody else runs it."""
