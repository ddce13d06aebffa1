"""The files that pages are made of, served outside of Flask.

collection  what the folder holds, compressed, under a digest of all of it
bundle      modules put together into one, so that a first visit waits for one
serving     the WSGI layer that answers for them
"""
