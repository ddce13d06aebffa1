"""List, install and uninstall, as the sidebar sees them.

routes      the API
replies     what the API answers, and how a list is written
listing     one list for everybody who asks: the cache and who asks Zendesk
kept_lists  where lists are kept in Redis
changes     install and uninstall, and what became of them
"""
