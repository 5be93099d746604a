"""The tool matcher as a service: AgentTools in, REST and MCP out."""
