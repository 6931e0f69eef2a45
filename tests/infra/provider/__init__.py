"""A stand-in for Pulumi's Kubernetes provider plugin, which is not to be had on machines without internet access.

A test tool: users get the real plugin, which the engine downloads by itself. It applies objects server-side to a
real cluster, waits until they are ready, and serves the remote component `kubernetes:helm.sh/v4:Chart`; what else
the real one does (Release, Kustomize, autonaming, await logic for every kind) it does not.
"""
