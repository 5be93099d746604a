"""Runtime `rayservice`: engine pods as workers of a Ray cluster that KubeRay keeps."""
