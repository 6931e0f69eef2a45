"""What is decided before a worker starts: the stack config, the budget solved from it, and its deployment.

`budget.py` is the only module that calculates with fleet numbers; every other one passes its results on.
"""
