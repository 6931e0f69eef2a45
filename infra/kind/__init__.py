"""A kind cluster on this machine with the whole stack in it, also where no container registry is reached.

    python -m infra.kind up | call | status | images | down

With OFFLINE=1 everything that would be pulled is built here from package registries: the node image (`node_image`), the
images of the stack (`images`), and, where no Docker answers, a Docker Engine of this project's own (`engine`).
"""
