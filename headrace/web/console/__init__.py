"""The console: server-rendered pages for the owner and the agents, everything through verbs of the project."""
