"""The command line: one file a command, thin wiring over the package.

Knows: options, exit statuses, what goes to which stream. Does not know: how anything is computed.
"""
