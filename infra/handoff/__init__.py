"""The solution handed on: as values of charts, as a worker's environment, as series for rules and dashboards."""
