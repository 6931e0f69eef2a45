"""What a stack is made of, each a ComponentResource with typed arguments. They place numbers; none computes."""
