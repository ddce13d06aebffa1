"""Rules on their own: no Flask, no store, no socket, no process. A red test here names the rule that broke."""
