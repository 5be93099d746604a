"""The service that finds and calls tools: one Deployment, kept by the operator."""
