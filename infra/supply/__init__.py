"""What everything on this machine is made of. Two doors, behind which nobody else knows how a part is built:

`binaries.binary(NAME)` is a program as a file (`make demo`, `make up`, checks and tests; everybody);
`choice.chosen()` is what a kind cluster is made of: a container registry, or everything built here (`offline`).
"""
