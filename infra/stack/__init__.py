"""The Pulumi program: cells and their components, what was deployed and what runs, and what may therefore be done."""
