"""The command line: click at the edge, no numerics."""
