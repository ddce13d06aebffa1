"""The only door to Redis: one server, a Sentinel group or a Cluster; sealing; what an account's past keeps."""
