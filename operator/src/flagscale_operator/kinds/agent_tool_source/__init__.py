"""AgentToolSource: the tools of a server as AgentTools."""
