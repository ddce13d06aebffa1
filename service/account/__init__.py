"""One account, as the sidebar sees it.

routes  status, disconnecting, activity
status  how it is connected and how its integrations are; disconnecting it
"""
