"""A kind cluster on this machine with the whole stack in it, also where no container registry is reached.

    python -m infra.kind up | call | status | build | down

Where its parts come from is chosen by OFFLINE, once, in `infra.supply.choice`.
"""
