"""AgentTool: whether a tool can be found, reached and trusted."""
