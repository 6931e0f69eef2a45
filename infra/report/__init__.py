"""The budget for people: the command line, tables and pictures, what if, a change of a running stack, scale."""
