"""One account: how it is connected and how its integrations are, disconnecting it, and who did what."""
