"""What watches connections against the budget: rules, dashboards and runbooks, for `charts/monitoring` and here."""
