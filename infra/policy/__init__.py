"""The stack policy: what is really about to be deployed, whoever wrote it, compared with the budget.

It reads rendered objects and the stack config, nothing that the program or the charts say of themselves: a transform,
another chart or a hand-written resource is refused like a mistake of our own.
"""
