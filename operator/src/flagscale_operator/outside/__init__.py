"""What is asked outside of Kubernetes: endpoints of tools, servers that offer tools, matchers."""
