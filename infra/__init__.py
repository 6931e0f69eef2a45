"""What is decided before a worker starts: the stack config, the budget solved from it, and its deployment.

`budget/` alone calculates with fleet numbers; every other room passes its results on.
"""
