"""`embedwell mcp`: the service's search for programs that speak the Model Context Protocol."""
